package org.libudi;

import com.sun.jna.Pointer;

/**
 * A device, a log, limits: where everything else lives. A context and all that is made from it are one lane: any thread,
 * one at a time; a second one inside gets {@link Status#STATE}. Contexts work in parallel.
 */
public final class Context extends Handle<Native.ContextHandle> {
    /** On the CPU, silent. Throws {@link UdiException}, {@link Status#NOT_FOUND}: there is no LibTorch. */
    public Context() {
        this(null, null);
    }

    /**
     * Opens LibTorch if no context did before, and the device. Throws {@link UdiException}, {@link Status#NOT_FOUND}: there
     * is no LibTorch; {@link Status#VERSION}: another one is loaded; {@link Status#DEVICE}: no such device.
     *
     * @param config null: the defaults
     * @param log gets the lines up to config's level; null: silence. One that refers to the context keeps it from the
     *     garbage collector: close that context
     */
    public Context(ContextConfig config, Log log) {
        this(create(config == null ? new ContextConfig() : config, new Lane(log)));
    }

    private Context(Owner<Native.ContextHandle> owner) {
        super(owner);
        owner.lane.context = owner;
    }

    private static Owner<Native.ContextHandle> create(ContextConfig config, Lane lane) {
        Native.ContextConfig given = new Native.ContextConfig(); // config may be another thread's, too
        config.struct.write();
        given.getPointer().write(0, config.struct.getPointer().getByteArray(0, given.size()), 0, given.size());
        given.read();
        given.log = lane.logFn;
        try (Call call = new Call()) {
            int status = Udi.LIB.udi_context_create(given, call.out, call.error);
            return call.made(status, lane, Native.ContextHandle::new, Udi.LIB::udi_context_free);
        }
    }

    /**
     * Makes the running call, and every later one, end with {@link Status#CANCELLED} within one micro-batch. From any
     * thread, also in a log or a progress listener.
     */
    public void cancel() {
        try (Call call = new Call()) {
            call.use(this);
            lane().cancel();
        }
    }

    /** Takes a cancel back, so that the context can be used again. */
    public void clearCancel() {
        try (Call call = new Call()) {
            call.use(this);
            lane().clearCancel();
        }
    }

    /**
     * From now on the work on the context's GPU goes to this CUDA stream, and arrays that it is given are read in that
     * stream's order. The stream must outlive all that was made from the context. {@link Status#UNSUPPORTED}: the context
     * is on the CPU.
     *
     * @param stream the address that a cudaStream_t is; 0: the default stream
     */
    public void setStream(long stream) {
        try (Call call = new Call()) {
            call.check(Udi.LIB.udi_context_set_stream(call.use(this), Pointer.createConstant(stream), call.error));
        }
    }

    /**
     * Runs a whole job: {@code run("knn", "{\"model\": \"checkpoint.safetensors\", ...}", null)}.
     *
     * <p>It ends early when the listener throws, which is thrown on from here; when {@link #cancel} is called; and when this
     * thread is interrupted, at the next step or batch, with {@link Status#CANCELLED}: the thread stays interrupted, the
     * context can be used again.
     *
     * @param job its name, as "pretrain"; {@link Udi#jobSchema} lists them
     * @param options a JSON object; unknown or misfit ones are {@link Status#INVALID} with their name
     * @param listener is told how far it is; null: nobody is
     * @return a JSON object with what came out
     */
    public String run(String job, String options, ProgressListener listener) {
        Watch watch = new Watch(listener);
        try (Call call = new Call()) {
            int status = Udi.LIB.udi_job_run(call.use(this), Text.checked("job", job), Text.checked("options", options),
                    watch, null, call.out, call.error);
            String result = status == Native.UDI_OK ? Text.of(call.out.getValue()) : null;
            if (result != null) {
                Udi.LIB.udi_string_free(call.out.getValue());
            }
            Call.rethrow(watch.thrown);
            call.check(status);
            return result;
        }
    }

    /** What a running job calls; an exception cannot go through C. */
    private static final class Watch implements Native.ProgressFn {
        private final ProgressListener listener;
        private Throwable thrown;

        Watch(ProgressListener listener) {
            this.listener = listener;
        }

        @Override
        public int invoke(Pointer user, Native.Progress now) {
            try {
                if (Thread.currentThread().isInterrupted()) {
                    throw new UdiException(Native.UDI_E_CANCELLED, 0, "the thread that runs the job was interrupted");
                }
                if (listener != null) {
                    listener.progress(Progress.of(now));
                }
                return 0;
            } catch (Throwable caught) {
                thrown = caught;
                return 1;
            }
        }
    }
}
