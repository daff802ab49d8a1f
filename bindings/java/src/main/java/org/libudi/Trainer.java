package org.libudi;

import java.nio.file.Path;

/** Student, teacher, centers, optimizer, schedules. One thread at a time, see {@link Context}. */
public final class Trainer extends Handle<Native.TrainerHandle> {
    /**
     * In the model's context. {@link Status#INVALID}: the field of config that is out of range.
     *
     * @param model student and teacher start as copies of it; it stays as it is
     * @param config the recipe
     */
    public Trainer(Model model, TrainConfig config) {
        this(create(model, config));
    }

    private Trainer(Owner<Native.TrainerHandle> owner) {
        super(owner);
    }

    private static Owner<Native.TrainerHandle> made(Call call, Lane lane, int status) {
        return call.made(status, lane, Native.TrainerHandle::new, Udi.LIB::udi_trainer_free);
    }

    private static Owner<Native.TrainerHandle> create(Model model, TrainConfig config) {
        try (Call call = new Call()) {
            Native.ModelHandle start = call.use(model);
            int status = Udi.LIB.udi_trainer_create(call.context(model.lane()), start, config.struct, call.out, call.error);
            return made(call, model.lane(), status);
        }
    }

    /**
     * The trainer as it was saved, to the bit on the same device. {@link Status#FORMAT}: damaged, the message names the
     * tensor; {@link Status#VERSION}: of a newer libudi; {@link Status#NOT_FOUND}: also a file without the position that a
     * loader wants. Where the file is gone or damaged and the one before it, path + ".prev", is there, the message says so.
     *
     * @param context where it lives
     * @param path of {@link #save}
     * @param loader is set to its saved position; may be null
     * @return the trainer
     */
    public static Trainer load(Context context, Path path, Loader loader) {
        try (Call call = new Call()) {
            int status = Udi.LIB.udi_trainer_load(call.use(context), Text.path(path), call.use(loader), call.out,
                    call.error);
            return new Trainer(made(call, context.lane(), status));
        }
    }

    /**
     * Steps from now on are over the group's ranks. Every rank calls it, each with a trainer of the same configuration; all
     * become what rank 0's is. {@link Status#INVALID}: the ranks' configurations differ.
     *
     * @param group of the trainer's context
     */
    public void join(Group group) {
        try (Call call = new Call()) {
            call.check(Udi.LIB.udi_trainer_join(call.use(this), call.use(group), call.error));
        }
    }

    /**
     * One optimisation step over all images of the views; several equal one batch of all their images.
     * {@link Status#SHAPE}: views that do not fit the model or each other; {@link Status#NONFINITE}: the loss or a gradient
     * is not finite. After a failure nothing has moved.
     *
     * @param views at least one, of the trainer's context
     * @return loss, norms, monitors
     */
    public StepStats step(Views... views) {
        Native.StepStats stats = new Native.StepStats();
        try (Call call = new Call()) {
            call.check(Udi.LIB.udi_trainer_step(call.use(this), call.use(views), views.length, stats, call.error));
        }
        return StepStats.of(stats);
    }

    /** {@return steps done} */
    public long steps() {
        try (Call call = new Call()) {
            return Udi.LIB.udi_trainer_steps(call.use(this));
        }
    }

    /**
     * A copy of weights as they are now.
     *
     * @param role whose
     * @return the model
     */
    public Model model(Role role) {
        try (Call call = new Call()) {
            int status = Udi.LIB.udi_trainer_model(call.use(this), role.value(), call.out, call.error);
            return new Model(Model.made(call, lane(), status));
        }
    }

    /**
     * Writes everything that is needed to go on, as one safetensors file. One that was there becomes path + ".prev", and the
     * one of that name goes. {@link Status#IO}: it cannot be written.
     *
     * @param path the file, which appears as a whole
     * @param loader its position goes along; may be null
     */
    public void save(Path path, Loader loader) {
        try (Call call = new Call()) {
            call.check(Udi.LIB.udi_trainer_save(call.use(this), call.use(loader), Text.path(path), call.error));
        }
    }
}
