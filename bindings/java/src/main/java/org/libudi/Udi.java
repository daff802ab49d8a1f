package org.libudi;

import com.sun.jna.Library;
import java.util.Map;

/**
 * The library itself. It is opened, as libudi.so.N, when the first class of this package is used; one that does not fit
 * this binding is an UnsatisfiedLinkError. All of this works in any thread, at any time.
 */
public final class Udi {
    static final Native LIB = load();

    private Udi() {}

    private static Native load() {
        for (Native.Struct struct : Native.structs()) {
            struct.checkLayout();
        }
        Native library = com.sun.jna.Native.load(Native.LIBRARY, Native.class,
                Map.of(Library.OPTION_STRING_ENCODING, Text.ENCODING));
        new Interface(Native.API_ABI, Native.API_VERSION, Native.API_FINGERPRINT).require(
                new Interface(library.udi_abi_version(), library.udi_version(), library.udi_api_fingerprint()));
        return library;
    }

    /** {@return the version of libudi, such as "0.1.0"} */
    public static String version() {
        return LIB.udi_version_string();
    }

    /** {@return the same as a number that grows: 1000000 * major + 1000 * minor + patch} */
    public static int versionNumber() {
        return LIB.udi_version();
    }

    /** {@return the number N in libudi.so.N} */
    public static int abi() {
        return LIB.udi_abi_version();
    }

    /** {@return 64 hexadecimal digits that name what the library's header declares} */
    public static String fingerprint() {
        return LIB.udi_api_fingerprint();
    }

    /** {@return JSON: version, abi, the LibTorch that libudi was built for and where it looks for it} */
    public static String buildInfo() {
        return LIB.udi_build_info();
    }

    /** {@return JSON that lists every job of {@link Context#run} and its options: name, type, default, range, help} */
    public static String jobSchema() {
        return LIB.udi_job_schema();
    }
}
