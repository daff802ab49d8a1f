package org.libudi;

/** What a binding was made from, or what a library offers (bindings/README.md). */
record Interface(int abi, int version, String fingerprint) {
    /** Throws UnsatisfiedLinkError unless the library serves a binding of this interface. */
    void require(Interface library) {
        boolean newer = library.abi == abi && library.version > version;
        if (!newer && !library.fingerprint.equals(fingerprint)) {
            throw new UnsatisfiedLinkError("libudi " + library + " does not fit this binding, made for " + this
                    + ": install a library of that version or newer with the same ABI");
        }
    }

    @Override
    public String toString() {
        return String.format("%d.%d.%d (ABI %d, interface %.12s)", version / 1_000_000, version / 1000 % 1000,
                version % 1000, abi, fingerprint);
    }
}
