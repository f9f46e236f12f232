"""Which protocol gives the digits that a paper prints: its authors' weights under every protocol that has a name."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import mean

from srrepro.errors import InputError
from srrepro.evaluation.explain import Image
from srrepro.evaluation.measure import Estimator, Photograph
from srrepro.progress import track
from srrepro.protocols.named import PROTOCOLS
from srrepro.protocols.protocol import Protocol


@dataclass(frozen=True)
class Under:
    """Means over the images of a set, under one protocol."""

    protocol: Protocol
    psnr_db: float
    ssim: float

    def gives(self, psnr_db: float, ssim: float | None, ssim_within: float) -> bool:
        """Whether these are the printed digits, rounded or with the last one cut."""
        near = -0.005 <= round(self.psnr_db - psnr_db, 4) < 0.01
        return near and (ssim is None or abs(self.ssim - ssim) <= ssim_within + 1e-9)


def under_all(network: Estimator, photographs: Iterable[Photograph], *, count: int) -> list[Under]:
    """What a network scores under every named protocol that has what it takes."""
    scores: dict[str, list[tuple[float, float]]] = {name: [] for name in PROTOCOLS}
    for name, photograph in track(photographs, f"{network.subject.name} under {len(scores)} protocols", total=count):
        image = Image(network, name, photograph)
        for protocol in PROTOCOLS.values():
            planes = image.planes(protocol.degradation, swapped=False)
            try:
                fed = protocol.fed(planes, network.takes)
            except InputError:  # one plane only, and the network takes RGB
                continue
            found = protocol.scores(image.estimate(fed, zeros=False), planes, network.scale)
            scores[protocol.name].append((found["psnr_db"], found[protocol.similarity]))
    return [
        Under(PROTOCOLS[name], mean(psnr_db for psnr_db, _ in each), mean(ssim for _, ssim in each))
        for name, each in scores.items()
        if each
    ]
