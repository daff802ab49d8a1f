package org.libudi;

import com.sun.jna.Pointer;

/** What a context and all that was made from it share: the context itself, its log, and what that threw. */
final class Lane {
    /** C calls it, so it must be here as long as the context is; null: no log. */
    final Native.LogFn logFn;
    volatile Owner<Native.ContextHandle> context;
    private final Log log;
    private boolean cancelled; // by the user
    private Throwable failure;

    Lane(Log log) {
        this.log = log;
        logFn = log == null ? null : this::log;
    }

    synchronized void cancel() {
        cancelled = true;
        Udi.LIB.udi_context_cancel(context.handle);
    }

    synchronized void clearCancel() {
        cancelled = false;
        Udi.LIB.udi_context_clear_cancel(context.handle);
    }

    /** On any thread. An exception cannot go through C: it ends the running call, which throws it. */
    private void log(Pointer user, int level, Pointer line) {
        try {
            log.log(LogLevel.of(level), Text.of(line));
        } catch (Throwable thrown) {
            fail(thrown);
        }
    }

    private synchronized void fail(Throwable thrown) {
        failure = failure == null ? thrown : failure;
        if (context != null) {
            Udi.LIB.udi_context_cancel(context.handle);
        }
    }

    /** What the log threw, null for nothing; once. The context can be used again. */
    synchronized Throwable takeFailure() {
        Throwable taken = failure;
        failure = null;
        if (taken != null && !cancelled && context != null) {
            Udi.LIB.udi_context_clear_cancel(context.handle);
        }
        return taken;
    }
}
