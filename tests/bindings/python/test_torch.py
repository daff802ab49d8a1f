"""Beside torch, in either order: one LibTorch, and arrays that both see."""
import subprocess
import sys
import textwrap
import unittest

WORK = """
    context = udi.Context(num_threads=1)
    model = recipe.model(context)
    trainer = udi.Trainer(model)
    trainer.step(udi.Views(context, recipe.images(), recipe.crops()))
    tokens = model.extract(model.prepare(recipe.images()))
"""
ONE = """
    import re
    maps = open("/proc/self/maps").read()
    for library in ("libtorch_cpu.so", "libc10.so", "libgomp[^ ]*", "libudi.so[^ ]*", "libudi_core.so"):
        found = set(re.findall(r"/[^ \\n]*/" + library + r"(?=\\n)", maps))
        assert len(found) == 1, (library, found)
"""


class Torch(unittest.TestCase):
    def run_in_child(self, *parts):
        program = "".join(map(textwrap.dedent, parts)) + "print('as promised')\n"
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        self.assertEqual((result.returncode, result.stdout), (0, "as promised\n"), result.stderr)

    def test_torch_first(self):
        self.run_in_child("import torch, udi, recipe\n", WORK, "torch.ones(2, 2) @ torch.ones(2, 2)\n", ONE)

    def test_udi_first(self):
        self.run_in_child("import udi, torch, recipe\n", WORK, "torch.ones(2, 2) @ torch.ones(2, 2)\n", ONE)

    def test_udi_at_work_before_torch_is_imported(self):
        """And torch's CUDA is its own still: who asks for CUDA before libtorch_cuda.so is there gets stubs for good."""
        self.run_in_child("import udi, recipe\n", WORK, "import torch\ntorch.ones(2, 2) @ torch.ones(2, 2)\n", ONE, """
            try:
                torch.empty(1, device="cuda")
            except RuntimeError as error:
                assert "NVIDIA" in str(error), error
        """)

    def test_one_memory(self):
        self.run_in_child("import torch, udi, recipe\n", WORK, """
            from udi._arrays import borrowed
            from udi._udi import ffi
            assert torch.from_numpy(tokens).data_ptr() == tokens.ctypes.data
            assert torch.from_dlpack(tokens).data_ptr() == tokens.ctypes.data
            batch = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
            assert int(ffi.cast("uintptr_t", borrowed(batch, "x", context._lane)._cdata.data)) == batch.data_ptr()
            last = batch.permute(0, 2, 3, 1)
            assert (model.extract(batch) == model.extract(last, "nhwc")).all()
            name = model.names[0]
            model[name] = torch.full(model[name].shape, 0.5)
            assert (model[name] == 0.5).all()
        """)

    def test_torch_is_left_as_it_was(self):
        self.run_in_child("""
            import torch, udi, recipe
            before = torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_rng_state()
        """, WORK, """
            after = torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_rng_state()
            assert before[:3] == after[:3] and torch.equal(before[3], after[3])
            weight = torch.ones(3, requires_grad=True)
            (weight * 2).sum().backward()
            assert weight.grad.tolist() == [2, 2, 2]
        """)

    def test_another_version_is_refused(self):
        """A library of another version under LibTorch's name, in the process already."""
        self.run_in_child("""
            import ctypes, os, subprocess, tempfile, udi
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "libtorch_cpu.so")
                subprocess.run(["cc", "-shared", "-o", path, "-Wl,-soname,libtorch_cpu.so", "-x", "c", "-"], check=True,
                               input=b"unsigned long long aoti_torch_abi_version(void) { return 2ull << 56 | 99ull << 48; }")
                other = ctypes.CDLL(path)
                try:
                    udi.Context()
                except udi.Error as error:
                    assert error.status == udi.Status.VERSION and "2.99.0" in str(error) and path in str(error), error
                else:
                    raise AssertionError
        """)


if __name__ == "__main__":
    unittest.main()
