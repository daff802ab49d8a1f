package org.libudi;

/** The processes of a distributed run, this one among them. One thread at a time, see {@link Context}. */
public final class Group extends Handle<Native.GroupHandle> {
    /**
     * Meets the other ranks: every process calls it, and it returns when all have come. With a new {@link GroupConfig} the
     * launcher (torchrun, mpirun or srun) says which rank this is; without one the group is this process alone.
     * {@link Status#INVALID}: also variables or ranks that contradict each other; {@link Status#IO}: the port is taken, or a
     * rank has not come within the timeout.
     *
     * @param context where it lives
     * @param config where the ranks meet
     */
    public Group(Context context, GroupConfig config) {
        super(create(context, config));
    }

    private static Owner<Native.GroupHandle> create(Context context, GroupConfig config) {
        try (Call call = new Call()) {
            int status = Udi.LIB.udi_group_create(call.use(context), config.struct, call.out, call.error);
            return call.made(status, context.lane(), Native.GroupHandle::new, Udi.LIB::udi_group_free);
        }
    }

    /** {@return 0 to world - 1} */
    public int rank() {
        try (Call call = new Call()) {
            return Udi.LIB.udi_group_rank(call.use(this));
        }
    }

    /** {@return the number of ranks} */
    public int world() {
        try (Call call = new Call()) {
            return Udi.LIB.udi_group_world(call.use(this));
        }
    }
}
