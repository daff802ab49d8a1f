package org.libudi;

import java.util.Arrays;

/** A call of libudi failed. The message has libudi's words: what, which value, which limit, what to do. */
public final class UdiException extends RuntimeException {
    private static final long serialVersionUID = 1;

    /** What kind of failure. */
    private final Status code;
    /** errno or a CUDA error, else 0. */
    private final int nativeCode;

    UdiException(int code, int nativeCode, String message) {
        super(Udi.LIB.udi_status_name(code) + ": " + message);
        this.code = Arrays.stream(Status.values()).filter(known -> known.value() == code).findAny().orElse(Status.INTERNAL);
        this.nativeCode = nativeCode;
    }

    /** {@return what kind of failure it is; {@link Status#INTERNAL} also for one that only a newer libudi knows} */
    public Status code() {
        return code;
    }

    /** {@return errno or a CUDA error, else 0} */
    public int nativeCode() {
        return nativeCode;
    }
}
