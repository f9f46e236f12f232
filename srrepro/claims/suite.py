"""The nine claims of the practice notes, in their order: words, question, budget, rule, rows, and their answers.

All of this stood here before anything ran. (Over 300 lines: every text is there in English and in Chinese.)
"""

from functools import cache

from srrepro.claims import srcnn, vdsr
from srrepro.claims.claim import BOUND_DB, LEAVES_BICUBIC_DB, SHARE, Candidate, Claim, Comparison, Text, Trained

HIGHER = Text(
    f"The first side is ahead by d dB, image by image. `holds`: the 95 % interval of d (10,000 paired resamples of the "
    f"images) and d of every seed are above {BOUND_DB} dB. `does not hold`: all are below. Otherwise `undecided`; also "
    f"where no side is more than {LEAVES_BICUBIC_DB} dB above bicubic.",
    f"逐图像计算前者领先的 d dB。`holds`（成立）：d 的 95% "
    f"区间（对图像配对重采样 10,000 次）与每个种子的 d 均高于 {BOUND_DB} dB；"
    f"`does not hold`（不成立）：均低于该值；否则 `undecided`（未定）。"
    f"若双方均未超过双三次 {LEAVES_BICUBIC_DB} dB，亦为未定。",
)
NO_WORSE = Text(
    HIGHER.en.replace(f"above {BOUND_DB} dB. `does", f"above −{BOUND_DB} dB: no worse. `does"),
    HIGHER.zh.replace(f"均高于 {BOUND_DB} dB；`does", f"均高于 −{BOUND_DB} dB（即不差于）；`does"),
)
NINE_TENTHS = Text(
    HIGHER.en.replace(
        f"above {BOUND_DB} dB. `does", f"above minus a tenth ({SHARE}) of the other side's gain over bicubic. `does"
    ),
    HIGHER.zh.replace(f"均高于 {BOUND_DB} dB；`does", f"均高于“对方相对双三次增益的十分之一（{SHARE}）”的负值；`does"),
)
CHOSEN = Text(
    " Of each grid seed 0 is trained, the best on val20 is the finalist, and gets seeds 1 and 2; no test set chooses.",
    "每个网格先训练种子 0，在 val20 上最优者再训练种子 1、2；测试集不参与选择。",
)


def _both(*texts: Text) -> Text:
    return Text("".join(text.en for text in texts), "".join(text.zh for text in texts))


UNDECIDED = Text(
    "Not decided as a whole: a run is lacking, seeds disagree, or a difference is within its interval. Rows that hold "
    "or do not hold stand by themselves.",
    "整体未定：缺少训练、各种子不一致，或某个差异在区间之内。已判定成立或不成立的行各自有效。",
)

TRAINING_SET = Claim(
    name="training-set",
    words=Text("ImageNet was used, but T91 already gives the effect", "用了 ImageNet，但 T91 已经能达到效果"),
    question=Text(
        "How much of the gain of 395,909 images do 91 images give?", "91 幅图像能达到 395,909 幅图像增益的多少？"
    ),
    budget=Text(
        f"The released weights are measured. Ours: the full srcnn-915-quick, and {srcnn.BACKPROPS:,} backprops on T91 "
        "and on 291 images, three seeds.",
        f"测量公开权重。本项目：完整的 srcnn-915-quick，以及在 T91 与 "
        f"291 幅图像上各 {srcnn.BACKPROPS:,} 次反向传播，三个种子。",
    ),
    rule=NINE_TENTHS,
    rows=srcnn.DATA,
    answers={
        "holds": Text(
            "Yes. For a network of this size 91 images give nine tenths of the gain or more, on every set.",
            "对。对这样大小的网络，91 幅图像在每个测试集上都达到九成以上的增益。",
        ),
        "does not hold": Text(
            "No. ImageNet gives more than a tenth on top, on every set.",
            "不对。在每个测试集上，ImageNet 多出的增益都超过一成。",
        ),
        "in part": Text(
            "In part: on some sets T91 gives nine tenths of the gain, on others not.",
            "部分成立：在部分测试集上 T91 达到九成增益，在其他测试集上没有。",
        ),
        "undecided": Text(
            "Decided on some sets only: on the others the interval reaches across nine tenths. The rows say which.",
            "仅部分测试集有结论：其余测试集的区间跨过九成。见表。",
        ),
    },
)

PADDING = Claim(
    name="padding",
    words=Text(
        "The original uses no padding, so the image shrinks; here padding is used",
        "原文不填充，所以图像变小；这里用了填充",
    ),
    question=Text(
        "Does padding with zeros cost anything: in training, in use, at the edge, inside?",
        "补零有代价吗：训练时、推理时、边缘、内部？",
    ),
    budget=Text(
        f"In training: three recipes of {srcnn.BACKPROPS:,} "
        f"backprops, three seeds each. In use: three sets of weights.",
        f"训练：三种配方各 {srcnn.BACKPROPS:,} 次反向传播，三个种子。推理：三组权重。",
    ),
    rule=NO_WORSE,
    rows=srcnn.PADDING,
    metrics=("psnr_db_inside", "psnr_db_edge"),
    answers={
        "holds": Text("Padding with zeros costs nothing that can be seen.", "补零没有可见的代价。"),
        "does not hold": Text(
            "Padding with zeros costs quality everywhere it was "
            "looked at. Do not pad in training; repeat the edge in use.",
            "无论在哪里，补零都有损失。训练时不要填充；推理时复制边缘。",
        ),
        "in part": Text(
            "It depends on where. Weights that were trained without "
            "padding must not be used with zeros: the band at the "
            "edge is spoilt, the inside is not touched. Whether to train with zeros: see the first rows.",
            "取决于在哪里。不填充训练的权重推理时不能补零：边缘带被破坏，内部不受影响。训练时能否补零见前几行。",
        ),
        "undecided": UNDECIDED,
    },
)

LAYER_RATES = Claim(
    name="layer-rates",
    words=Text("The three layers have different learning rates", "三层的学习率不同"),
    question=Text(
        "They have, in the paper: the last layer has a tenth. Does that help?",
        "论文中确实如此：末层为十分之一。有用吗？",
    ),
    budget=Text(
        f"{srcnn.BACKPROPS:,} backprops with SGD; three rates for each way, three seeds for the better one.",
        f"SGD，{srcnn.BACKPROPS:,} 次反向传播；每种方式三个学习率，最优者三个种子。",
    ),
    rule=_both(HIGHER, CHOSEN),
    rows=srcnn.RATES,
    answers={
        "holds": Text(
            "Yes: with SGD the smaller rate of the last layer helps.", "对：用 SGD 时，末层用较小学习率有帮助。"
        ),
        "does not hold": Text(
            "The paper does so, but it is not needed: one rate for all layers ends as high or higher.",
            "论文确实如此，但并非必要：各层同一学习率的结果同样高或更高。",
        ),
        "in part": UNDECIDED,
        "undecided": UNDECIDED,
    },
)

OPTIMISER = Claim(
    name="optimiser",
    words=Text("Momentum SGD with staged rates beats Adam", "带动量的 SGD 加分阶段学习率优于 Adam"),
    question=Text(
        "Which is ahead at equal backprops, each at its best rate?", "相同反向传播次数、各取最优学习率时，谁更好？"
    ),
    budget=Text(
        f"SRCNN: {srcnn.BACKPROPS:,} backprops in batches of "
        f"{srcnn.BATCH}, three rates each for SGD, Adam, SOAP and Muon. "
        f"VDSR: {vdsr.LONGER:,} in batches of {vdsr.BATCH}, three rates each for SGD and Adam, one for SOAP and Muon.",
        f"SRCNN：{srcnn.BACKPROPS:,} 次反向传播，批大小 {srcnn.BATCH}，SGD、Adam、SOAP、Muon 各三个学习率。"
        f"VDSR：{vdsr.LONGER:,} 次，批大小 {vdsr.BATCH}，SGD 与 Adam 各三个学习率，SOAP 与 Muon 各一个。",
    ),
    rule=_both(HIGHER, CHOSEN),
    rows=(*srcnn.OPTIMISED, *vdsr.OPTIMISED),
    answers={
        "holds": Text("Yes, for both networks in runs of this length.", "对，在这样长度的训练中，两个网络都如此。"),
        "does not hold": Text(
            "No: at equal backprops in short runs Adam is as good or better for both. SOAP and Muon: see their rows.",
            "不对：短训练、相同反向传播次数时，Adam 对两个网络都同样好或更好。SOAP 与 Muon 见相应行。",
        ),
        "in part": Text(
            "For one of the two networks only; the rows say for which. SOAP and Muon: see their rows.",
            "只对其中一个网络成立，见表。SOAP 与 Muon 见相应行。",
        ),
        "undecided": UNDECIDED,
    },
)

BATCHES = Claim(
    name="batches",
    words=Text("Small batches converge better", "小批量收敛更好"),
    question=Text(
        "Are batches of 16 ahead of larger ones: at equal samples, and at equal seconds?",
        "批大小 16 是否优于更大的：相同样本数时？相同时间时？",
    ),
    budget=Text(
        f"SRCNN, {srcnn.BACKPROPS:,} backprops with SGD at a constant rate; batches of 16 to 256 with four rates each, "
        "three seeds for the best. Seconds: steps of every size are timed in turns, and curves read off where the time "
        "is equal. That is the time which the fastest size takes for all its samples.",
        f"SRCNN，恒定学习率 SGD，{srcnn.BACKPROPS:,} 次反向传播；批大小 16 至 256，各四个学习率，最优者三个种子。"
        "时间：各批大小的步轮流计时，在曲线上读取相同时间处的值，即最快者用完全部样本的时间。",
    ),
    rule=_both(
        HIGHER,
        Text(
            " At equal seconds there is one number a seed (Set5), so the interval is Student's, over the seeds.",
            "相同时间时每个种子只有一个值（Set5），区间为对种子的 t 区间。",
        ),
        CHOSEN,
    ),
    rows=srcnn.BATCHED,
    answers={
        "holds": Text(
            "Yes, beside batches of 128 and more, by samples and by seconds.",
            "对，与 128 及以上相比，按样本数和按时间都如此。",
        ),
        "does not hold": Text(
            "No: with a rate chosen for each size, batches of 128 and more are as good.",
            "不对：为每个批大小选好学习率后，128 及以上同样好。",
        ),
        "in part": Text(
            "By samples or by seconds, not by both, or beside one size only: the rows say which.",
            "只在按样本数或按时间之一，或只相对某个批大小成立，见表。",
        ),
        "undecided": UNDECIDED,
    },
)

COLOURS = Claim(
    name="colours",
    words=Text(
        "Multi-channel is hard and poor: use Y, and interpolate Cb and Cr", "多通道又难又差：只用 Y，Cb 与 Cr 用插值"
    ),
    question=Text(
        "Is the same network on Y ahead of the one on RGB and the one on YCbCr?",
        "同一网络在 Y 上是否优于在 RGB 与 YCbCr 上？",
    ),
    budget=Text(
        f"{srcnn.BACKPROPS:,} backprops each, three seeds; all are measured in RGB, under the protocol rgb-v1.",
        f"各 {srcnn.BACKPROPS:,} 次反向传播，三个种子；均在 RGB 上按协议 rgb-v1 测量。",
    ),
    rule=HIGHER,
    rows=srcnn.COLOURS,
    metrics=("psnr_db_y",),
    beside=Text(
        "The paper's own table of colour has, as average PSNR of "
        "RGB: Y only 36.37 dB, RGB 36.44, YCbCr 33.47. So there "
        "RGB is 0.07 dB above Y, and YCbCr 2.90 below. Its average is another than ours: compare differences only.",
        "论文的颜色表（RGB 平均 PSNR）：仅 Y 36.37 dB，RGB 36.44，"
        "YCbCr 33.47。即 RGB 比 Y 高 0.07 dB，YCbCr 低 2.90 dB。"
        "其平均方式与此处不同，只能比较差值。",
    ),
    answers={
        "holds": Text("Yes: Y alone is ahead of both, by both measures.", "对：按两种指标，仅用 Y 都优于两者。"),
        "does not hold": Text("No: three channels are as good as Y or better.", "不对：三通道与仅用 Y 同样好或更好。"),
        "in part": Text(
            "In part: it depends on the channels and on what is measured. The rows say which.",
            "部分成立：取决于通道与指标，见表。",
        ),
        "undecided": UNDECIDED,
    },
)

LAST_RECTIFIER = Claim(
    name="last-rectifier",
    words=Text("Do not activate the last layer", "最后一层不要激活"),
    question=Text("What does a rectifier after the last layer cost?", "末层之后加 ReLU 有何代价？"),
    budget=Text(
        f"SRCNN: {srcnn.BACKPROPS:,} backprops. VDSR, on its residual: {vdsr.BACKPROPS:,}. Three seeds each.",
        f"SRCNN：{srcnn.BACKPROPS:,} 次反向传播。VDSR（残差上）：{vdsr.BACKPROPS:,} 次。各三个种子。",
    ),
    rule=HIGHER,
    rows=(srcnn.LAST_RECTIFIER, vdsr.LAST_RECTIFIER),
    answers={
        "holds": Text("Yes, for both: a rectifier at the end costs quality.", "对，两者都如此：末层激活会降低质量。"),
        "does not hold": Text("It makes no difference that can be seen.", "没有可见差别。"),
        "in part": Text(
            "Only where the output may be negative. VDSR's residual "
            "is negative for half of the pixels; SRCNN's output is "
            "an image, which is positive anyway. The rows say where it holds.",
            "只在输出可为负时成立。VDSR 的残差约一半像素为负；SRCNN 的输出是图像，本来就为正。见表。",
        ),
        "undecided": UNDECIDED,
    },
)

HARD = Claim(
    name="vdsr-hard",
    words=Text(
        "VDSR is hard to train, the gradient vanishes, perhaps "
        "the implementation is wrong, perhaps one residual block is "
        "too few",
        "VDSR 难训练，梯度消失，可能实现有误，也可能一个残差块太少",
    ),
    question=Text(
        "Which of the differences between the notes' version and the paper's stops it?",
        "笔记版本与论文版本的哪些差别使它学不动？",
    ),
    budget=Text(
        f"{vdsr.BACKPROPS:,} backprops ({vdsr.BACKPROPS // vdsr.BATCH} "
        f"steps of {vdsr.BATCH}) at a rate of 0.1 and ×3, three "
        "seeds. Trained are the paper's version, eight variants of it with "
        "one change each, and the notes' version. The paper's "
        "initialisation, loss and clipping are added to the latter one after the other.",
        f"{vdsr.BACKPROPS:,} 次反向传播（{vdsr.BACKPROPS // vdsr.BATCH} "
        f"步，批大小 {vdsr.BATCH}），学习率 0.1，×3，三个种子："
        "论文版本、各改一处的八个变体，以及依次加入论文初始化、损失与裁剪的笔记版本。",
    ),
    rule=_both(
        HIGHER,
        Text(
            " The gradient vanishes where, at the first batch, rate "
            "× gradient of the first layer is below 2^-24 of its "
            "weights (norms): float32 cannot add it. What was wrong are the changes whose row holds.",
            "梯度消失的判据：首个批次中，首层的“学习率×梯度”（范数）低于权重的 "
            "2^-24，float32 加不进去。行判定为成立的改动即为错误所在。",
        ),
    ),
    rows=vdsr.HARD,
    watched=vdsr.WATCHED,
    suspects=tuple(change.name for change in vdsr.OF_THE_NOTES),
    answers={
        "holds": Text(
            "The notes' version cannot learn, and its gradient vanishes, as the notes suspected. The network is not at "
            "fault: with one skip connection, the paper's version "
            "learns. What was wrong are the changes that hold below.",
            "如笔记所料：笔记版本学不动，梯度消失。但错不在网络："
            "论文版本只有一个残差连接就能学习。错误所在是下表中判定成立的改动。",
        ),
        "does not hold": Text(
            "The notes' version is not behind, its gradient does not "
            "vanish, and the paper's version does not learn either.",
            "笔记版本并不落后，梯度没有消失，论文版本也没有学会。",
        ),
        "in part": Text(
            "The notes are right in part; the rows say in what, and which changes cost quality.",
            "笔记部分正确；正确之处与造成损失的改动见表。",
        ),
        "undecided": UNDECIDED,
    },
)

MEAN_SHIFT = Claim(
    name="mean-shift",
    words=Text("Because of the rectifiers the residual must be shifted by its mean", "由于 ReLU，残差必须减去均值"),
    question=Text(
        "Is it better with the mean of the residual subtracted: in training, and at test alone?",
        "减去残差均值是否更好：训练时？仅测试时？",
    ),
    budget=Text(
        f"{vdsr.BACKPROPS:,} backprops with and without, three seeds; and the authors' weights with and without.",
        f"有与无各 {vdsr.BACKPROPS:,} 次反向传播，三个种子；以及作者权重的有与无。",
    ),
    rule=HIGHER,
    rows=vdsr.SHIFT,
    answers={
        "holds": Text("Yes, in training and at test.", "对，训练与测试都如此。"),
        "does not hold": Text(
            "No: it gains nothing. The last layer has no rectifier, so the residual may be negative as it is.",
            "不必：没有收益。末层没有 ReLU，残差本来就可以为负。",
        ),
        "in part": Text("In one of the two only; the rows say in which.", "只在其中之一成立，见表。"),
        "undecided": UNDECIDED,
    },
)

CLAIMS = (
    TRAINING_SET,
    PADDING,
    LAYER_RATES,
    OPTIMISER,
    BATCHES,
    COLOURS,
    LAST_RECTIFIER,
    HARD,
    MEAN_SHIFT,
)


def candidates(claim: Claim) -> list[Candidate]:
    """Everything that is trained or measured for a claim, each once."""
    each = [
        candidate
        for row in claim.rows
        for candidate in (
            [one for side in row.arms for one in side.candidates] if isinstance(row, Comparison) else [row.of]
        )
    ]
    return list(dict.fromkeys(each))


@cache
def variants() -> dict[str, Trained]:
    """What is trained for claims only, by name.

    Raises
    ------
    ValueError : two variants share a name.
    """
    found: dict[str, Trained] = {}
    for claim in CLAIMS:
        for one in candidates(claim):
            if isinstance(one, Trained) and one.is_variant and found.setdefault(one.name, one) != one:
                msg = f"two variants are called {one.name!r}"
                raise ValueError(msg)
    return found


def metrics_of(name: str) -> tuple[str, ...]:
    """What is measured of a candidate besides its protocol's metrics: all that any claim of it asks for."""
    wanted = [metric for claim in CLAIMS for one in candidates(claim) if one.name == name for metric in claim.metrics]
    return tuple(dict.fromkeys(wanted))


def sets_of(name: str) -> tuple[str, ...]:
    """What a candidate is measured on: the sets of its rows."""
    found = [
        dataset
        for claim in CLAIMS
        for row in claim.comparisons
        if any(one.name == name for side in row.arms for one in side.candidates)
        for dataset in row.datasets
    ]
    return tuple(dict.fromkeys(found))
