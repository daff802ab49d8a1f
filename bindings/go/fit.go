package udi

import "fmt"

// side is one of the two that must fit each other: this package as it was made, and the library that was loaded.
type side struct {
	abi, version uint32
	fingerprint  string
}

func (s side) String() string {
	return fmt.Sprintf("%d.%d.%d (ABI %d, interface %.12s)", s.version/1000000, s.version/1000%1000, s.version%1000, s.abi,
		s.fingerprint)
}

// fits is nil for the same interface, or for a newer library of the same ABI (bindings/README.md).
func fits(binding, library side) error {
	if library.fingerprint == binding.fingerprint || (library.abi == binding.abi && library.version > binding.version) {
		return nil
	}
	return fmt.Errorf("libudi %v does not fit this binding, made for %v: install a library of that version or newer with "+
		"the same ABI", library, binding)
}

func laidOut(rows []layoutRow) error {
	for _, row := range rows {
		if row.found != row.declared {
			return fmt.Errorf("%s is at or of %d bytes, this binding was made for %d: it was compiled with another udi.h",
				row.what, row.found, row.declared)
		}
	}
	return nil
}

func init() {
	if err := laidOut(layout()); err != nil {
		panic(err)
	}
	binding, library := side{apiABI, apiVersion, apiFingerprint}, side{ABIVersion(), VersionNumber(), Fingerprint()}
	if err := fits(binding, library); err != nil {
		panic(err)
	}
}
