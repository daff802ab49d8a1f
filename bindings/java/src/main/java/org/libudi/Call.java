package org.libudi;

import com.sun.jna.Pointer;
import com.sun.jna.PointerType;
import com.sun.jna.ptr.PointerByReference;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Function;

/** One call of a function of udi.h: what it is given stays until it is closed, and what went wrong is thrown. */
final class Call implements AutoCloseable {
    final Native.Error error = new Native.Error();
    final PointerByReference out = new PointerByReference();
    private final List<Owner<?>> used = new ArrayList<>();
    private final List<Object> kept = new ArrayList<>();

    /** The handle for C; null for null. */
    <P extends PointerType> P use(Handle<P> handle) {
        if (handle == null) {
            return null;
        }
        handle.owner.use(handle.getClass().getSimpleName());
        used.add(handle.owner);
        return handle.owner.handle;
    }

    /** The context of what is used already. */
    Native.ContextHandle context(Lane lane) {
        lane.context.retain();
        used.add(lane.context);
        return lane.context.handle;
    }

    Pointer[] use(Handle<?>[] handles) {
        Pointer[] pointers = new Pointer[handles.length];
        for (int i = 0; i < handles.length; ++i) {
            pointers[i] = use(handles[i]).getPointer();
        }
        return pointers;
    }

    /** Keeps memory that C reads. */
    void keep(Object memory) {
        kept.add(memory);
    }

    /** Throws if the call failed; rather what a log threw, which may be why. */
    void check(int status) {
        if (status != Native.UDI_E_STATE) { // else another thread is inside, and the failure is its
            used.forEach(owner -> rethrow(owner.lane.takeFailure()));
        }
        if (status != Native.UDI_OK) {
            throw new UdiException(status, error.native_code, Text.of(error.message));
        }
    }

    /** The handle that the call wrote to out. */
    <P extends PointerType> Owner<P> made(int status, Lane lane, Function<Pointer, P> type, Consumer<P> free) {
        Owner<P> owner = status == Native.UDI_OK ? new Owner<>(type.apply(out.getValue()), free, lane) : null;
        try {
            check(status);
            rethrow(lane.takeFailure()); // of a context that is new, and so not among the used ones
            return owner;
        } catch (Throwable thrown) {
            if (owner != null) {
                owner.close();
            }
            throw thrown;
        }
    }

    @Override
    public void close() {
        used.forEach(Owner::release);
        kept.clear();
    }

    /** Throws it as it is, checked or not; nothing for null. */
    static void rethrow(Throwable thrown) {
        if (thrown != null) {
            Call.<RuntimeException>unchecked(thrown);
        }
    }

    @SuppressWarnings("unchecked")
    private static <E extends Throwable> void unchecked(Throwable thrown) throws E {
        throw (E) thrown;
    }
}
