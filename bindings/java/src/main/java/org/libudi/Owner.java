package org.libudi;

import com.sun.jna.PointerType;
import java.lang.ref.Cleaner;
import java.util.function.Consumer;

/**
 * A handle of C's. It is freed as soon as it is closed and nothing uses it: no call that runs, no array over its memory,
 * and, of a context, nothing that was made from it.
 */
final class Owner<P extends PointerType> {
    static final Cleaner CLEANER = Cleaner.create();

    final P handle;
    final Lane lane;
    private final Consumer<P> free;
    private int users;
    private boolean closed;

    /** lane: its context's; the one that the context itself makes is used by all others. */
    Owner(P handle, Consumer<P> free, Lane lane) {
        this.handle = handle;
        this.free = free;
        this.lane = lane;
        if (lane.context != null) {
            lane.context.retain();
        }
    }

    /** Begins a use that release() ends. name: of the class, for the message. */
    synchronized void use(String name) {
        if (closed) {
            throw new IllegalStateException("this " + name + " is closed");
        }
        ++users;
    }

    /** The same for what uses it in some way already, so that it is there even if it was closed meanwhile. */
    synchronized void retain() {
        ++users;
    }

    void release() {
        if (unused(1, false)) {
            free();
        }
    }

    /** By hand or by the cleaner, once. */
    void close() {
        if (unused(0, true)) {
            free();
        }
    }

    private synchronized boolean unused(int fewer, boolean closing) {
        users -= fewer;
        closed = closed || closing;
        return closed && users == 0;
    }

    private void free() {
        free.accept(handle);
        if (lane.context != this && lane.context != null) {
            lane.context.release();
        }
    }
}
