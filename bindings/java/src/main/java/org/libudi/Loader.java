package org.libudi;

import java.nio.file.Path;

/** An image set on disk, turned into views by worker threads. One thread at a time, see {@link Context}. */
public final class Loader extends Handle<Native.LoaderHandle> {
    /**
     * Opens an image set of JPEG, PNG and .npy files. Batches are of full size; what is left of an epoch is dropped.
     * {@link Status#NOT_FOUND}: no image there; {@link Status#FORMAT}: a damaged archive or list; {@link Status#INVALID}:
     * also fewer images than a batch of all ranks.
     *
     * @param context where it lives
     * @param path a folder (nested or flat), a list file (one path a line), a .tar or .tar.gz, or a folder of those
     * @param views the augmentation
     * @param config batches, threads, limits
     */
    public Loader(Context context, Path path, ViewConfig views, LoaderConfig config) {
        super(open(context, path, views, config));
    }

    private static Owner<Native.LoaderHandle> open(Context context, Path path, ViewConfig views, LoaderConfig config) {
        try (Call call = new Call()) {
            int status = Udi.LIB.udi_loader_open(call.use(context), Text.path(path), views.struct, config.struct, call.out,
                    call.error);
            return call.made(status, context.lane(), Native.LoaderHandle::new, Udi.LIB::udi_loader_free);
        }
    }

    /** {@return the number of images that were found} */
    public long images() {
        try (Call call = new Call()) {
            return Udi.LIB.udi_loader_images(call.use(this));
        }
    }

    /** {@return batches an epoch} */
    public long stepsPerEpoch() {
        try (Call call = new Call()) {
            return Udi.LIB.udi_loader_steps_per_epoch(call.use(this));
        }
    }

    /**
     * The next batch; epochs follow each other without end. An unreadable image is named in the log, and another of the set
     * takes its place. {@link Status#FORMAT}: more than max_bad_percent of the set are. After a failure the position is as
     * it was.
     *
     * @return the batch
     */
    public Views next() {
        try (Call call = new Call()) {
            int status = Udi.LIB.udi_loader_next(call.use(this), call.out, call.error);
            return new Views(Views.made(call, lane(), status));
        }
    }

    /** {@return batches given out since the start of training} */
    public long position() {
        try (Call call = new Call()) {
            return Udi.LIB.udi_loader_position(call.use(this));
        }
    }

    /**
     * Continues as if so many batches had been given out.
     *
     * @param position at least 0, below 2^24 epochs
     */
    public void seek(long position) {
        try (Call call = new Call()) {
            call.check(Udi.LIB.udi_loader_seek(call.use(this), position, call.error));
        }
    }
}
