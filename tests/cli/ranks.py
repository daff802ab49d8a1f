"""Runs of several processes: equal to one process's, resumed on other numbers of ranks, and ended together.

Usage: ranks.py UDI PART FOLDER      PART: equal, jobs or failures; FOLDER: empty, to work in
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from launch import Ranks  # noqa: E402

UDI, PART = sys.argv[1:3]
os.chdir(sys.argv[3])
TINY = ("--image-size 32 --patch-size 8 --embed-dim 24 --depth 2 --heads 2 --srs-heads 2 --out-dim 64 --head-hidden-dim 32 "
        "--head-bottleneck-dim 16 --local-size 16 --local-crops 2 --batch-size 12 --workers 1 --log-steps 1 --lr 0.05 "
        "--warmup-steps 5 --freeze-last-layer-steps 3 --teacher-temp-warmup-epochs 2").split()
PRETRAIN = [UDI, "pretrain", "--data", "set/train", *TINY, "--json"]
LOSSES = ("loss", "global_cls", "global_cls_plus", "global_patch", "local_cls", "local_cls_plus")


def run(*arguments, code=0):
    done = subprocess.run([UDI, *arguments], capture_output=True, text=True)
    assert done.returncode == code, f"exit {done.returncode} of {arguments}:\n{done.stderr}"
    return done.stdout


def ended_well(ranks):
    codes = ranks.end()
    words = "\n".join("".join(rank.err) for rank in ranks.ranks)
    assert codes == [0] * len(codes), f"exits {codes}:\n{words}"
    for rank in ranks.ranks[1:]:
        assert not rank.out and not rank.err, f"only rank 0 speaks, not: {rank.out} {rank.err}"
    return json.loads(ranks[0].out[-1])


def log_of(folder):
    lines = [json.loads(line) for line in pathlib.Path(folder, "log.jsonl").read_text().splitlines()]
    return {line["step"]: line for line in lines if "loss" in line}


def assert_same_run(one, other, steps):
    one, other = log_of(one), log_of(other)
    assert sorted(other) == sorted(set(other)) and set(steps) <= set(other), f"steps {sorted(other)}"
    for step in steps:
        for name in LOSSES:
            a, b = one[step][name], other[step][name]
            assert abs(a - b) <= 1e-5, f"{name} of step {step}: {a} and {b}"
        assert one[step]["valid_share"] == other[step]["valid_share"]


def equal():
    steps = [*PRETRAIN, "--steps", "20", "--knn-train", "set/train", "--knn-test", "set/test", "--knn-k", "5",
             "--drop-path-rate", "0.3", "--save-steps", "6", "--keep", "9"]
    alone = json.loads(run(*steps[1:], "--out", "one").splitlines()[-1])
    for world in (2, 3):
        result = ended_well(Ranks(world, [*steps, "--out", f"of{world}"]))
        assert_same_run("one", f"of{world}", range(20))
        assert result["ranks"] == world and result["steps_done"] == 20 and result["bad_images"] == 0
        assert abs(result["knn_cls_top1"] - alone["knn_cls_top1"]) <= 100 / 20 + 1e-9, result
        assert sorted(os.listdir(f"of{world}")) == sorted(os.listdir("one")) or len(os.listdir("one")) == \
            len(os.listdir(f"of{world}")), os.listdir(f"of{world}")
    ended_well(Ranks(2, [*steps, "--out", "accumulated", "--accumulate", "2", "--bucket-bytes", "4096"]))
    run(*steps[1:], "--out", "accumulated_alone", "--accumulate", "2")
    assert_same_run("accumulated_alone", "accumulated", range(20))
    # 40 images are three batches of 12, of which the third fills no step: the run is that of whole batches of 24.
    run(*steps[1:], "--out", "whole", "--batch-size", "24")
    assert_same_run("whole", "accumulated_alone", range(20))

    # From one rank to two and back.
    ended_well(Ranks(2, [*steps, "--out", "two", "--resume", "one/checkpoint-000000006.safetensors"]))
    assert_same_run("one", "two", range(6, 20))
    run(*steps[1:], "--out", "back", "--resume", "two/checkpoint-000000012.safetensors")
    assert_same_run("one", "back", range(12, 20))

    # The official reduction is another run.
    ended_well(Ranks(2, [*steps, "--out", "means", "--rank-reduction", "mean"]))
    one, means = log_of("one"), log_of("means")
    assert any(abs(one[step]["loss"] - means[step]["loss"]) > 1e-5 for step in range(1, 20))


def jobs():
    run("pretrain", "--data", "set/train", *TINY, "--steps", "3", "--out", "run")
    pathlib.Path("set/train/circle_solid" if os.path.isdir("set/train/circle_solid") else
                 next(str(p) for p in pathlib.Path("set/train").iterdir()), "broken.png").write_bytes(b"no image")
    model = ["--model", "run/checkpoint.safetensors", "--workers", "1", "--batch-size", "4"]
    extract = [UDI, "extract", *model, "--data", "set/train", "--token", "both", "--max-bad", "10", "--json"]
    alone = json.loads(run(*extract[1:], "--out", "one.npy"))
    for world, kind in ((2, "torchrun"), (3, "mpirun"), (2, "srun")):
        ranks = Ranks(world, [*extract, "--out", "many.npy"], kind)
        codes = ranks.end()
        assert codes == [0] * world, "".join(ranks[0].err)
        result = json.loads(ranks[0].out[-1])
        assert result["images"] == alone["images"] and result["bad_images"] == 1, result
        assert sum("cannot read" in "".join(rank.err) for rank in ranks.ranks) == 1
        for name in ("npy", "paths.txt"):
            one, many = (pathlib.Path(f"{stem}.{name}").read_bytes() for stem in ("one", "many"))
            assert one == many, f"{name} of {world} ranks under {kind} differs"
        os.unlink("many.npy")
    ranks = Ranks(2, [*extract, "--out", "none.npy", "--max-bad", "1"])
    assert ranks.end() == [1, 1] and not os.path.exists("none.npy")
    assert "cannot be read, more than max_bad = 1 percent" in "".join(ranks[0].err), ranks[0].err

    knn = [UDI, "knn", *model, "--train", "set/train", "--test", "set/test", "--max-bad", "10", "--k", "1", "5", "--json"]
    alone = json.loads(run(*knn[1:]))
    ranks = Ranks(2, knn)
    assert ranks.end() == [0, 0], "".join(ranks[0].err)
    assert json.loads(ranks[0].out[-1]) == alone and not ranks[1].out

    # Ranks that use torchrun's store. Its part is played by a rank 0 whose own run nobody joins.
    keeper = Ranks(1, [*knn, "--world", "2", "--rank", "0", "--rank-timeout", "60"])
    port = int(keeper[0].wait_for(r"port (\d+)").group(1))
    ranks = Ranks(2, knn, store_port=port)
    assert ranks.end() == [0, 0], "".join(ranks[0].err)
    assert json.loads(ranks[0].out[-1]) == alone
    keeper.signal(signal.SIGINT)  # who waits for ranks can be stopped
    assert keeper.end() == [130], keeper[0].err

    # world 1: alone, whoever started it.
    os.environ.update(RANK="1", WORLD_SIZE="2")
    assert json.loads(run(*knn[1:], "--world", "1")) == alone
    del os.environ["RANK"], os.environ["WORLD_SIZE"]


def failures():
    train = [*PRETRAIN, "--steps", "100000", "--save-steps", "50"]

    # Options that differ, a batch that cannot be shared, other images: all ranks say what.
    ranks = Ranks(2, [*train, "--out", "no"], per_rank={1: ["--lr", "0.1"]})
    assert ranks.end() == [2, 2]
    for rank in ranks.ranks:
        assert "lr: 0.05 on rank 0, 0.1 on rank 1" in "".join(rank.err), rank.err
    ranks = Ranks(5, [*train, "--out", "no"])
    assert ranks.end() == [2] * 5
    assert "batch_size: 12 images are of all 5 ranks" in "".join(ranks[0].err), ranks[0].err
    assert not os.path.exists("no")

    # Unreadable images of all ranks together are too many, though no rank has met more than it may.
    shutil.copytree("set/train", "bad")
    for image in sorted(path for path in pathlib.Path("bad").rglob("*") if path.is_file())[3:18:14]:
        image.write_bytes(b"no image")
    ranks = Ranks(2, [UDI, "pretrain", "--data", "bad", *TINY, "--steps", "3", "--max-bad", "3", "--out", "unreadable"])
    assert ranks.end() == [1, 1]
    for rank in ranks.ranks:
        words = "".join(rank.err)
        assert words.count("unreadable image") == 1, words
        assert "2 of 40 images are unreadable, more than max_bad = 3 percent" in words, words

    # A rank that is killed, the first one or another: all end, and name it. The last checkpoint is whole.
    for killed in (0, 1):
        ranks = Ranks(3, [*train, "--out", f"killed{killed}", "--rank-timeout", "60"])
        wait_for_steps(ranks, f"killed{killed}", 60)
        ranks[killed].process.kill()
        start = time.monotonic()
        codes = ranks.end(45)
        for rank in range(3):
            assert codes[rank] == (-signal.SIGKILL if rank == killed else 1), codes
            words = "".join(ranks[rank].err)
            assert rank == killed or f"rank {killed}" in words and "gone" in words, words
        assert time.monotonic() - start < 45
        run("inspect", f"killed{killed}/checkpoint.safetensors", "--json")  # compares its checksums

    # A rank that is stopped does not answer: the timeout ends the others.
    ranks = Ranks(2, [*train, "--out", "late", "--rank-timeout", "6"])
    wait_for_steps(ranks, "late", 5)
    ranks[1].process.send_signal(signal.SIGSTOP)
    assert ranks[0].end(45) == 1
    assert "rank 1 of 2 is gone" in "".join(ranks[0].err), ranks[0].err
    ranks[1].process.kill()
    ranks.end()

    # Ctrl-C of all: one checkpoint, the usual exit code, and the same command goes on.
    ranks = Ranks(2, [*train, "--out", "stopped", "--save-steps", "0"])
    wait_for_steps(ranks, "stopped", 20)
    assert not os.path.exists("stopped/checkpoint.safetensors")
    ranks.signal(signal.SIGINT)
    assert ranks.end(45) == [130, 130], "".join(ranks[0].err + ranks[1].err)
    assert "the same command goes on from there" in "".join(ranks[0].err), ranks[0].err
    assert os.path.exists("stopped/checkpoint.safetensors")
    assert not os.path.exists("stopped/checkpoint.safetensors.prev")
    steps = len(log_of("stopped"))
    ranks = Ranks(2, [*train, "--out", "stopped", "--save-steps", "0"])
    assert ranks[0].wait_for("going on after step (\\d+)").group(1) == str(steps)
    wait_for_steps(ranks, "stopped", steps + 5)
    ranks.signal(signal.SIGTERM)
    assert ranks.end(45) == [143, 143], "".join(ranks[0].err + ranks[1].err)


def wait_for_steps(ranks, folder, count):
    log = pathlib.Path(folder, "log.jsonl")
    while not log.exists() or len(log.read_text().splitlines()) < count:
        assert ranks[0].process.poll() is None, "".join(ranks[0].err)
        time.sleep(0.01)


run("demo-data", "--out", "set", "--train", "40", "--test", "20")
{"equal": equal, "jobs": jobs, "failures": failures}[PART]()
