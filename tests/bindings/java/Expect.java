package org.libudi;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** What the checks are made of. */
final class Expect {
    private Expect() {}

    /** A step that may throw anything. */
    interface Step {
        void run() throws Exception;
    }

    static void that(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError("not so: " + what);
        }
    }

    /** The step throws such an exception, whose message holds the words. */
    static <E extends Throwable> E fails(Class<E> kind, String words, Step step) {
        try {
            step.run();
        } catch (Throwable thrown) {
            if (!kind.isInstance(thrown) || thrown.getMessage() == null || !thrown.getMessage().contains(words)) {
                throw new AssertionError("thrown: " + thrown + ", wanted: " + kind + ", " + words, thrown);
            }
            return kind.cast(thrown);
        }
        throw new AssertionError("did not fail: " + words);
    }

    /** The step fails in libudi. */
    static UdiException fails(Status code, String words, Step step) {
        UdiException failure = fails(UdiException.class, words, step);
        that(failure.code() == code, failure + " is " + code);
        return failure;
    }

    /** All that nothing refers to has been collected, and the cleaner has run for it. */
    static void collected() {
        for (int i = 0; i < 2; ++i) { // the second sentinel is queued after all that the first collection found
            CountDownLatch done = new CountDownLatch(1);
            Owner.CLEANER.register(new Object(), done::countDown);
            try {
                do {
                    System.gc();
                } while (!done.await(10, TimeUnit.MILLISECONDS));
            } catch (InterruptedException interrupted) {
                throw new AssertionError(interrupted);
            }
        }
    }
}
