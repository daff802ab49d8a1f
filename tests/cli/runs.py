"""What the scripts ask of training runs: their logs, their options, the weights they began with."""
import json
import math
import struct
import sys

from check import read_tensors


def log_steps(path):
    with open(path, encoding="utf-8") as file:
        return [line for line in map(json.loads, file) if "loss" in line]


def check_fields(path, *fields):
    """Every step in the log has these fields, NAME or NAME=NUMBER, and no others but those of each run."""
    always = "step epoch loss lr weight_decay momentum_teacher teacher_temp grad_norm_max grad_norm_sum"
    always += " teacher_entropy kl valid_share feature_std images_per_second eta_seconds"
    wanted = dict.fromkeys(always.split(), "") | dict(field.partition("=")[::2] for field in fields)
    steps = log_steps(path)
    assert steps, "no step"
    for line in steps:
        assert line.keys() == wanted.keys(), f"step {line['step']}: {sorted(line.keys() ^ wanted.keys())}"
        for name, value in line.items():
            assert math.isfinite(value), f"step {line['step']}: {name} is {value}"
            assert not wanted[name] or value == float(wanted[name]), f"step {line['step']}: {name} is {value}"


def compare_logs(first, second, limit):
    """Losses, norms and monitors of two runs, step by step, within a relative limit."""
    a, b = log_steps(first), log_steps(second)
    assert len(a) == len(b) > 0, f"{len(a)} and {len(b)} steps"
    for x, y in zip(a, b):
        assert x.keys() == y.keys(), f"fields differ: {sorted(x.keys() ^ y.keys())}"
        for name in x.keys() - {"images_per_second", "eta_seconds"}:
            away = abs(x[name] - y[name])
            assert away <= float(limit) * abs(y[name]), f"step {x['step']}: {name} is {x[name]} and {y[name]}"


def check_measured(path, *steps):
    """k-NN was measured after these steps."""
    with open(path, encoding="utf-8") as file:
        found = [line["step"] for line in map(json.loads, file) if "knn_cls_top1" in line]
    assert found == list(map(int, steps)), f"k-NN after steps {found}"


def compare_shared(first, second, prefix, least):
    """Tensors of one name and shape, among those whose names begin with the prefix, are equal; at least so many are."""
    a, b = read_tensors(first), read_tensors(second)
    shared = [name for name in a if name.startswith(prefix) and name in b and a[name][:2] == b[name][:2]]
    assert len(shared) >= int(least), f"only {len(shared)} tensors are in both"
    different = [name for name in shared if a[name] != b[name]]
    assert not different, f"{len(different)} of {len(shared)} differ, the first is {different[0]}"


def check_options(options, folder, inspected, schema):
    """Each option of a run is in config.json, in the checkpoint and, if a field has its name, in what inspect shows."""
    with open(options, encoding="utf-8") as file:
        changed = json.load(file)
    with open(schema, encoding="utf-8") as file:
        sets = json.load(file)["sets"]
    with open(f"{folder}/config.json", encoding="utf-8") as file:
        written = json.load(file)
    with open(f"{folder}/checkpoint.safetensors", "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        stored = json.loads(json.loads(file.read(length))["__metadata__"]["udi.extra"])["config"]
    with open(inspected, encoding="utf-8") as file:
        shown = json.loads(file.readlines()[-1])
    choices = {option["name"]: option.get("choices", []) for names in sets.values() for option in names}
    for name, value in changed.items():
        for where, config in (("config.json", written), ("the checkpoint", stored)):
            assert config[name] == value, f"{name} is {config[name]} in {where}"
        for config in (shown["model"], shown["train"]):
            if name not in config or name == "lr":
                continue
            # enumerations are words in JSON, or their place among the choices
            wanted = [value, choices[name].index(value)] if value in choices[name] else [value]
            got = config[name]
            if isinstance(got, list):
                right = len(got) == len(value) and all(abs(x - y) < 1e-6 for x, y in zip(got, value))
            else:
                right = abs(got - value) < 1e-6 if isinstance(got, float) else got in wanted
            assert right, f"inspect: {name} is {got}"
    lr = changed["lr"] * changed["batch_size"] * changed["accumulate"] / 256
    assert abs(shown["train"]["lr"] - lr) < 1e-12, f"lr is {shown['train']['lr']}, not {lr}"


if __name__ == "__main__":
    tasks = {
        "fields": check_fields,
        "near": compare_logs,
        "measured": check_measured,
        "shared": compare_shared,
        "options": check_options,
    }
    try:
        tasks[sys.argv[1]](*sys.argv[2:])
    except (AssertionError, OSError, ValueError) as error:
        sys.exit(f"{' '.join(sys.argv[2:])}: {error}")
