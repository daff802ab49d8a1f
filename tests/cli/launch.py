"""Starts the ranks of a run on this machine, as a launcher would: the port is one that rank 0's store has chosen."""
import os
import re
import subprocess
import threading
import time

LAUNCHERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_", "OMPI_", "SLURM_", "PMIX", "TORCHELASTIC_")
KINDS = {
    "torchrun": lambda rank, world: {"RANK": rank, "WORLD_SIZE": world, "LOCAL_RANK": rank},
    "mpirun": lambda rank, world: {"OMPI_COMM_WORLD_RANK": rank, "OMPI_COMM_WORLD_SIZE": world,
                                   "OMPI_COMM_WORLD_LOCAL_RANK": rank, "OMPI_COMM_WORLD_LOCAL_SIZE": world},
    "srun": lambda rank, world: {"SLURM_PROCID": rank, "SLURM_NTASKS": world, "SLURM_LOCALID": rank, "SLURM_JOB_ID": 7,
                                 "SLURM_STEP_ID": 0, "SLURM_NNODES": 1, "SLURM_STEP_NODELIST": "nowhere[3-4]"},
}


class Rank:
    """A process whose words are collected while it runs."""

    def __init__(self, command, environment):
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        stdin=subprocess.DEVNULL, text=True)
        self.out, self.err = [], []
        self.readers = [threading.Thread(target=self.collect, args=pair, daemon=True)
                        for pair in ((self.process.stdout, self.out), (self.process.stderr, self.err))]
        for reader in self.readers:
            reader.start()

    @staticmethod
    def collect(stream, lines):
        for line in stream:
            lines.append(line)

    def wait_for(self, pattern, seconds=60):
        """The first match in stderr; None when the process ends without."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            ended = self.process.poll() is not None
            match = re.search(pattern, "".join(self.err))
            if match or ended:
                return match
            time.sleep(0.01)
        raise AssertionError(f"no '{pattern}' within {seconds} s: {''.join(self.err)}")

    def end(self, seconds=120):
        code = self.process.wait(seconds)
        for reader in self.readers:
            reader.join()
        return code


class Ranks:
    """The ranks of one run. per_rank: further words of a rank's command. store_port: of a store that somebody else keeps, as
    torchrun's agent does."""

    def __init__(self, world, command, kind="torchrun", per_rank=None, store_port=None):
        base = {name: value for name, value in os.environ.items()
                if not name.startswith(LAUNCHERS)}
        if store_port:
            base |= {"TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "0"}
        self.ranks, port = [], store_port or 0
        for rank in range(world):
            environment = base | {name: str(value) for name, value in KINDS[kind](rank, world).items()}
            environment["MASTER_PORT"] = str(port)
            self.ranks.append(Rank(command + (per_rank or {}).get(rank, []), environment))
            if port == 0:
                match = self.ranks[0].wait_for(r"meeting at \S+ port (\d+)")
                assert match, "rank 0 ended before it met anyone: " + "".join(self.ranks[0].err)
                port = int(match.group(1))

    def __getitem__(self, rank):
        return self.ranks[rank]

    def signal(self, number):
        for rank in self.ranks:
            rank.process.send_signal(number)

    def end(self, seconds=120):
        """The exit codes, when all have ended within so many seconds together."""
        limit = time.monotonic() + seconds
        try:
            return [rank.end(max(0.1, limit - time.monotonic())) for rank in self.ranks]
        except subprocess.TimeoutExpired:
            words = "\n".join("".join(rank.err) for rank in self.ranks)
            raise AssertionError(f"ranks did not end within {seconds} s:\n{words}") from None
        finally:
            for rank in self.ranks:
                if rank.process.poll() is None:
                    rank.process.kill()
