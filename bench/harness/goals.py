"""The goals of this project's speed and memory, and what a run says of each. A goal that is missed stays in the table."""

from dataclasses import dataclass

OURS = "libudi"


@dataclass
class Goal:
    row: str
    what: str
    least: float
    kind: str  # times: as fast as `against`; share: of a ceiling, field `against`; memory: of `against`, at most
    against: str


CPU = [
    Goal("extract", "CPU extraction, float32: share of the sgemm peak", 0.88, "share", "gemm_share"),
    Goal("extract", "CPU extraction, a core, against PyTorch eager", 1.2, "times", "PyTorch eager"),
    Goal("extract", "the same against ONNX Runtime", 1.1, "times", "ONNX Runtime"),
    Goal("extract", "the same against OpenVINO", 1.05, "times", "OpenVINO"),
    Goal("step_6", "CPU train step, 2 + 6 crops, against PyTorch eager", 1.8, "times", "PyTorch eager"),
    Goal("step_6", "the same, glibc told to keep its pages", 1.8, "times", "PyTorch eager, pages kept"),
    Goal("step_10", "CPU train step, 2 + 10 crops, against PyTorch eager", 1.8, "times", "PyTorch eager"),
    Goal("step_10", "the same, glibc told to keep its pages", 1.8, "times", "PyTorch eager, pages kept"),
    Goal("data_10", "JPEG to views, 2 + 10 crops, a core", 12, "times", "Pillow + torchvision"),
]
DEVICE = [
    Goal("step_128", "GPU step, batch 128, against the roofline by operation", 0.7, "share", "roofline_share"),
    Goal("step_128", "the same against the eager official step", 6, "times", "PyTorch eager, fp16 autocast"),
    Goal("step_128", "the same against the fastest of PyTorch", 1.6, "times", "PyTorch strong"),
    Goal("step_128", "its peak memory against eager", 0.25, "memory", "PyTorch eager, fp16 autocast"),
    Goal("step_16", "GPU step, batch 16, against eager", 6, "times", "PyTorch eager, fp16 autocast"),
    Goal("extract_256", "GPU extraction, batch 256, against eager bf16", 2, "times", "PyTorch eager, bf16"),
    Goal("extract_256", "the same against torch.compile", 1.4, "times", "PyTorch compiled"),
    Goal("files", "JPEG to features, GPU and 16 cores", 5, "times", "torchvision DataLoader, compiled"),
    Goal("data_10", "JPEG to views, 2 + 10 crops, a core", 12, "times", "Pillow + torchvision"),
    Goal("data_10", "the same, augmentation on the GPU", 25, "augmented", "Pillow + torchvision"),
]


def judge(goals, table):
    """-> entries with goal, figure (None: not measured) and reached. Of several contenders of a kind, named alike at their
    beginning, the fastest counts, on either side, unless one is named just so on the other."""
    judged = []
    for goal in goals:
        row = [e for e in table if e["row"] == goal.row and e.get("images_per_second")]
        fastest = lambda name: max(
            (e for e in row if e["contender"].startswith(name)), key=lambda e: e["images_per_second"], default=None
        )
        ours = fastest(OURS)
        other = next((e for e in row if e["contender"] == goal.against), None) or fastest(goal.against)
        if goal.kind == "augmented":
            ours = fastest(OURS + ", augmentation on the GPU")
        elif goal.row == "data_10":
            ours = next((e for e in row if e["contender"] == OURS), None)
        figure = None
        if ours and goal.kind == "share":
            figure = ours.get(goal.against)
        elif ours and other and goal.kind == "memory":
            figure = total_bytes(ours) / total_bytes(other) if total_bytes(ours) and total_bytes(other) else None
        elif ours and other:
            figure = ours["images_per_second"] / other["images_per_second"]
        reached = None if figure is None else figure <= goal.least if goal.kind == "memory" else figure >= goal.least
        judged.append(
            {
                "what": goal.what,
                "goal": goal.least,
                "kind": goal.kind,
                "figure": figure,
                "reached": reached,
                "ours": ours["contender"] if ours else None,
                "against": (other or {}).get("contender", goal.against),
                "note": note_of(goal, ours, other),
            }
        )
    return judged


def total_bytes(entry):
    """At the peak, with what was held before."""
    return entry["peak_bytes"] + entry["base_bytes"] if entry.get("peak_bytes") and entry.get("base_bytes") else None


def note_of(goal, ours, other):
    if not ours or not (other or goal.kind == "share"):
        return "not measured"
    batches = {e["batch"] for e in (ours, other) if e and e.get("batch")}
    return f"batches of {' and '.join(map(str, sorted(batches)))}: the larger does not fit there" if len(batches) > 1 else ""


def as_markdown(judged):
    form = {"share": lambda v: f"{v:.0%}", "memory": lambda v: f"{v:.2f} of it"}
    show = lambda e, v: form.get(e["kind"], lambda v: f"{v:.2f}x")(v)
    words = {True: "yes", False: "no", None: ""}
    lines = ["| what | goal | figure | reached | who, against whom |", "| --- | ---: | ---: | --- | --- |"]
    for e in judged:
        figure = "not measured" if e["figure"] is None else show(e, e["figure"])
        who = f"{e['ours'] or OURS}" + (f" : {e['against']}" if e["kind"] != "share" else "")
        note = f"; {e['note']}" if e["note"] and e["figure"] is not None else ""
        lines.append(f"| {e['what']} | {show(e, e['goal'])} | {figure} | {words[e['reached']]} | {who}{note} |")
    return "\n".join(lines)
