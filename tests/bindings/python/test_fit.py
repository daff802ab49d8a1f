"""What happens at import: the layout and the library are those of udi.h."""
import subprocess
import sys
import unittest
from unittest import mock

import udi
from udi import _fit, _header
from udi._call import text
from udi._fit import Side, fits
from udi._udi import lib


class Fit(unittest.TestCase):
    ours = Side(0, 2000, "a" * 64)

    def test_what_fits(self):
        fits(self.ours, self.ours)
        fits(self.ours, Side(0, 2001, "b" * 64))  # a newer one

    def test_what_does_not(self):
        for other in (Side(0, 2000, "b" * 64), Side(0, 1999, "b" * 64), Side(1, 2001, "b" * 64)):
            with self.assertRaisesRegex(ImportError, r"made for 0\.2\.0 \(ABI 0, interface aaaaaaaaaaaa\): install"):
                fits(self.ours, other)

    def test_this_library_fits(self):
        self.assertEqual(text(lib.udi_api_fingerprint()), _header.FINGERPRINT)
        self.assertEqual(udi.__version__, "{}.{}.{}".format(_header.VERSION // 10**6, _header.VERSION // 1000 % 1000,
                                                            _header.VERSION % 1000))

    def test_another_layout_does_not_import(self):
        size, offsets = _header.LAYOUT["udi_array"]
        for wrong in ((size - 1, offsets), (size, {**offsets, "ndim": 15})):
            with mock.patch.dict(_header.LAYOUT, udi_array=wrong), self.assertRaisesRegex(ImportError, "udi_array"):
                _fit.check()

    def test_another_fingerprint_does_not_import(self):
        program = (f"import sys, types; sys.modules['udi'] = m = types.ModuleType('udi'); m.__path__ = {udi.__path__!r}\n"
                   "import udi._header as h; h.FINGERPRINT = '0' * 64; del sys.modules['udi']; import udi")
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        self.assertIn("ImportError: libudi", result.stderr)
        self.assertIn("does not fit this binding", result.stderr)

    def test_importing_is_light(self):
        program = ("import sys, udi\nassert 'torch' not in sys.modules\n"
                   "assert 'libtorch' not in open('/proc/self/maps').read()")
        subprocess.run([sys.executable, "-c", program], check=True)


if __name__ == "__main__":
    unittest.main()
