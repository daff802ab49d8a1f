package org.libudi;

/** Is told how far a job is. */
@FunctionalInterface
public interface ProgressListener {
    /**
     * Called now and then, on the thread that runs the job; may call nothing of its context but {@link Context#cancel}.
     * What it throws ends the job and is thrown from {@link Context#run}.
     *
     * @param now how far the job is
     */
    void progress(Progress now);
}
