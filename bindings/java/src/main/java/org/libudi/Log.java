package org.libudi;

/** Gets what a context has to say. */
@FunctionalInterface
public interface Log {
    /**
     * Called for every line, one call at a time, maybe on a thread of libudi's; may call nothing of its context but
     * {@link Context#cancel}. What it throws ends the call of the context that runs, or the next one, and is thrown from
     * there.
     *
     * @param level how much it matters
     * @param line the whole line, without a newline
     */
    void log(LogLevel level, String line);
}
