"""What is trained of VDSR to settle claims: the notes' version against the paper's, one change at a time; optimisers.

Runs are short: 500 steps of 16 patches at the first rate of `vdsr-t91`. Nothing is chosen among these, so that Set5 may
be watched; optimisers are chosen on val20.
"""

from dataclasses import dataclass, replace

from srrepro.claims.claim import BOUND_DB, Comparison, Row, Text, Trained, Vanishing, Weights, arm
from srrepro.claims.networks import Deep
from srrepro.claims.srcnn import OPTIMISERS
from srrepro.claims.variants import SCALE, staged, variant
from srrepro.models.recipe import SGD, Constant, HeInit, MeanSquaredError, OwnInit, Training
from srrepro.models.vdsr import ON_T91, VDSR_NOTES, VDSR_T91

BATCH = 16  # ours: four times as many steps as with the paper's 64, in the same time
BACKPROPS = 500 * BATCH  # ours: two minutes on two cores
LONGER = 750 * BATCH  # ours: three minutes on two cores; for optimisers, whose rates must also fall
GRIDS = {
    "SGD": (0.01, 0.03, 0.1),  # ours: up to the paper's 0.1
    "Adam": (1e-4, 3e-4, 1e-3),  # ours: around the 5e-4 of docs/experiments/vdsr-t91.md
    "SOAP": (3e-4,),  # ours: the best of docs/experiments/vdsr-t91.md; only beside the others
    "Muon": (1e-3,),  # ours: the best of docs/experiments/vdsr-t91.md; only beside the others
}
SHORT = replace(
    ON_T91,
    scales=None,  # ours: one scale, so that a curve costs seconds and not minutes
    schedule=Constant(lr=0.1),  # paper: Training Parameters, the rate of the first 20 epochs
    batch=BATCH,
    backprops=BACKPROPS,
    validation=None,  # ours: nothing is chosen
    log_points=20,
)
SETTING = Text(
    f"×{SCALE}, T91, {BACKPROPS // BATCH} steps of {BATCH} at a rate of 0.1, Set5 and Set14",
    f"×{SCALE}，T91，学习率 0.1，{BACKPROPS // BATCH} 步，批大小 {BATCH}，Set5 与 Set14",
)


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that can be otherwise: how to call it, the variant of `vdsr-t91` that has it, and what it was there."""

    name: str
    en: str
    zh: str
    training: Training = SHORT
    network: Deep = Deep()

    @property
    def variant(self) -> Trained:
        return variant(VDSR_T91, f"short-{self.name}", self.training, self.network)


PAPER = variant(VDSR_T91, "short", SHORT, Deep())
OF_THE_NOTES = (
    Change(
        name="own-init", en="PyTorch's initialisation", zh="PyTorch 默认初始化", training=replace(SHORT, init=OwnInit())
    ),
    Change(
        name="mean-loss",
        en="a loss that is a mean over pixels",
        zh="按像素平均的损失",
        training=replace(SHORT, loss=MeanSquaredError()),
    ),
    Change(name="unclipped", en="no clipping", zh="不裁剪梯度", training=replace(SHORT, clip=None)),
    Change(name="no-first-bias", en="a first layer without bias", zh="首层无偏置", network=Deep(first_bias=False)),
    Change(name="mean", en="the mean subtracted", zh="减去均值", network=Deep(mean_subtracted=True)),
    Change(name="22-layers", en="22 layers", zh="22 层", network=Deep(depth=22)),
)
FURTHER = (
    Change(name="no-skip", en="no skip connection", zh="无残差连接", network=Deep(residual=False)),
    Change(
        name="small-last",
        en="a last layer that starts at a thousandth",
        zh="末层初值为千分之一",
        training=replace(SHORT, init=HeInit(last=0.001)),
    ),
)

# From the notes' version towards the paper's, each with all changes before it.
NOTES_NETWORK = Deep(depth=22, first_bias=False, mean_subtracted=True)
NOTES_TRAINING = replace(SHORT, init=OwnInit(), loss=MeanSquaredError(), clip=None)
STEPS = (
    ("short", "the notes' version", "笔记版本", NOTES_TRAINING),
    ("short-he", "with He's initialisation", "改用 He 初始化", replace(NOTES_TRAINING, init=HeInit())),
    (
        "short-he-sum",
        "with He's initialisation and the paper's loss",
        "改用 He 初始化与论文的损失",
        replace(SHORT, clip=None),
    ),
    (
        "short-he-sum-clip",
        "with He's initialisation, the paper's loss and clipping",
        "改用 He 初始化、论文的损失与梯度裁剪",
        SHORT,
    ),
)
PATH = tuple(variant(VDSR_NOTES, name, training, NOTES_NETWORK) for name, _, _, training in STEPS)
NOTES = PATH[0]
PAPERS_ARM, NOTES_ARM = arm("the paper's version", "论文版本", PAPER), arm("the notes' version", "笔记版本", NOTES)


def _stops(change: Change, *, main: bool) -> Comparison:
    return Comparison(
        name=change.name,
        statement=Text(
            f"One change to the paper's version costs more than {BOUND_DB} dB: {change.en}.",
            f"论文版本只改一处就损失超过 {BOUND_DB} dB：{change.zh}。",
        ),
        claimed=PAPERS_ARM,
        other=arm(change.en, change.zh, change.variant),
        condition=SETTING,
        bound_db=BOUND_DB,
        main=main,
    )


def _cures(place: int) -> Comparison:
    _, en, zh, _ = STEPS[place]
    return Comparison(
        name=f"notes-{place}",
        statement=Text(f"The notes' version {en} leaves bicubic.", f"笔记版本{zh}后能超过双三次。"),
        claimed=arm(f"the notes' version {en}", f"笔记版本{zh}", PATH[place]),
        other=None,
        condition=SETTING,
        bound_db=BOUND_DB,
        main=False,
    )


HARD: tuple[Row, ...] = (
    Comparison(
        name="behind",
        statement=Text("The notes' version is behind the paper's.", "笔记版本落后于论文版本。"),
        claimed=PAPERS_ARM,
        other=NOTES_ARM,
        condition=SETTING,
        bound_db=BOUND_DB,
    ),
    Comparison(
        name="paper-leaves",
        statement=Text(
            "The paper's version, with its one skip connection, leaves bicubic.",
            "论文版本只有一个残差连接，也能超过双三次。",
        ),
        claimed=PAPERS_ARM,
        other=None,
        condition=SETTING,
        bound_db=BOUND_DB,
    ),
    Vanishing(
        name="vanishes",
        statement=Text("The gradient vanishes in the notes' version.", "笔记版本的梯度消失。"),
        of=NOTES,
        condition=Text("first batch of 16, rate 0.1", "首个批次（16），学习率 0.1"),
    ),
    Vanishing(
        name="paper-vanishes",
        statement=Text("The gradient vanishes in the paper's version.", "论文版本的梯度消失。"),
        of=PAPER,
        condition=Text("first batch of 16, rate 0.1", "首个批次（16），学习率 0.1"),
        main=False,
    ),
    *(_stops(change, main=False) for change in (*OF_THE_NOTES, *FURTHER)),
    *(_cures(place) for place in range(1, len(STEPS))),
)
WATCHED = (PAPER, *(change.variant for change in (*OF_THE_NOTES, *FURTHER)), *PATH)


def _optimised(name: str, lr: float) -> Trained:
    training = replace(
        SHORT,
        optimiser=OPTIMISERS[name] if name != "SGD" else SGD(momentum=0.9, weight_decay=1e-4),
        schedule=staged(lr),
        clip=ON_T91.clip if name == "SGD" else None,  # ours: the others bound their updates by themselves
        backprops=LONGER,
        validation="val20",
        logged=(),
        log_points=2,
    )
    return variant(VDSR_T91, f"{name.lower()}-{lr:g}", training, Deep())


BY = {
    name: arm(
        f"{name}, best of its grid" if len(rates) > 1 else f"{name} at {rates[0]:g}",
        f"{name}，网格最优" if len(rates) > 1 else f"{name}，学习率 {rates[0]:g}",
        *(_optimised(name, lr) for lr in rates),
    )
    for name, rates in GRIDS.items()
}


def _against_sgd(name: str, *, main: bool) -> Comparison:
    grid = Text("all in stages, best of three rates each", "均为分阶段学习率，各取三个学习率中最优")
    one = Text("in stages; one rate for the other", "分阶段学习率；对方只有一个学习率")
    how = grid if main else one
    return Comparison(
        name=f"vdsr-{name.lower()}",
        statement=Text(f"VDSR: momentum SGD ends above {name}.", f"VDSR：动量 SGD 的结果高于 {name}。"),
        claimed=BY["SGD"],
        other=BY[name],
        condition=Text(
            f"×{SCALE}, T91, {LONGER // BATCH} steps of {BATCH}, Set5 and Set14; SGD clipped as in the paper; {how.en}",
            f"×{SCALE}，T91，{LONGER // BATCH} 步，批大小 {BATCH}，Set5 与 Set14；SGD 按论文裁剪；{how.zh}",
        ),
        bound_db=BOUND_DB,
        main=main,
    )


OPTIMISED = (_against_sgd("Adam", main=True), _against_sgd("SOAP", main=False), _against_sgd("Muon", main=False))

LAST_RECTIFIER = Comparison(
    name="vdsr",
    statement=Text("VDSR ends higher without a rectifier on its residual.", "VDSR：残差末层不加 ReLU 更好。"),
    claimed=arm("without", "不加", PAPER),
    other=arm(
        "with a last rectifier", "末层加 ReLU", variant(VDSR_T91, "short-rectified", SHORT, Deep(rectified=True))
    ),
    condition=SETTING,
    bound_db=BOUND_DB,
)

MEAN = next(change for change in OF_THE_NOTES if change.name == "mean")
AS_RELEASED, SHIFTED = (
    Weights(name=f"vdsr-authors@{name}", weights="vdsr-authors", scale=SCALE, network=Deep(mean_subtracted=subtracted))
    for name, subtracted in (("as-released", False), ("mean-subtracted", True))
)
SHIFT = (
    Comparison(
        name="training",
        statement=Text("With the mean subtracted it ends above without.", "减去均值的结果高于不减。"),
        claimed=arm("mean subtracted", "减去均值", MEAN.variant),
        other=arm("as it is", "不减", PAPER),
        condition=Text(f"{SETTING.en}; in training and at test", f"{SETTING.zh}；训练与测试均如此"),
        bound_db=BOUND_DB,
    ),
    Comparison(
        name="test",
        statement=Text(
            "The authors' weights measure higher with the mean subtracted at test.", "作者权重在测试时减去均值后更高。"
        ),
        claimed=arm("mean subtracted at test", "测试时减去均值", SHIFTED),
        other=arm("as released", "原样", AS_RELEASED),
        condition=Text(f"×{SCALE}, Set5 and Set14, vdsr-authors", f"×{SCALE}，Set5 与 Set14，vdsr-authors"),
        bound_db=BOUND_DB,
        seeds=(0,),
    ),
)
