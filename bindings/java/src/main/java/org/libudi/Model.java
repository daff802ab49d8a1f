package org.libudi;

import java.nio.file.Path;
import java.util.List;
import java.util.stream.LongStream;

/** A backbone with SRS module and projection head. One thread at a time, see {@link Context}. */
public final class Model extends Handle<Native.ModelHandle> {
    /**
     * One with the official initialisation. {@link Status#INVALID}: the field of config that is out of range.
     *
     * @param context where it lives
     * @param config its sizes
     * @param seed the weights are drawn from it
     */
    public Model(Context context, ModelConfig config, long seed) {
        this(create(context, config, seed));
    }

    Model(Owner<Native.ModelHandle> owner) {
        super(owner);
    }

    static Owner<Native.ModelHandle> made(Call call, Lane lane, int status) {
        return call.made(status, lane, Native.ModelHandle::new, Udi.LIB::udi_model_free);
    }

    private static Owner<Native.ModelHandle> create(Context context, ModelConfig config, long seed) {
        try (Call call = new Call()) {
            int status = Udi.LIB.udi_model_create(call.use(context), config.struct, seed, call.out, call.error);
            return made(call, context.lane(), status);
        }
    }

    /**
     * Reads a checkpoint or weights: safetensors of libudi or with official names; the official .pth, DINO's, iBOT's,
     * DeiT's and timm's through a reader that runs nothing. {@link Status#NOT_FOUND}, {@link Status#IO},
     * {@link Status#FORMAT}: no such file, unreadable, damaged or misshapen (the log lists every tensor);
     * {@link Status#UNSUPPORTED}: a network or archive that libudi has not.
     *
     * @param context where the model lives
     * @param path the file
     * @param role which of student and teacher, where the file holds both
     * @return the model
     */
    public static Model load(Context context, Path path, Role role) {
        try (Call call = new Call()) {
            int status = Udi.LIB.udi_model_load(call.use(context), Text.path(path), role.value(), call.out, call.error);
            return new Model(made(call, context.lane(), status));
        }
    }

    /**
     * The same weights for another thread, without a copy. While they are shared {@link #set} gives {@link Status#STATE}.
     *
     * @param context another one on the same device
     * @return a model there
     */
    public Model share(Context context) {
        try (Call call = new Call()) {
            int status = Udi.LIB.udi_model_share(call.use(this), call.use(context), call.out, call.error);
            return new Model(made(call, context.lane(), status));
        }
    }

    /**
     * Writes weights, configuration and preprocessing as one safetensors file. {@link Status#IO}: it cannot be written.
     *
     * @param path the file, which appears as a whole
     */
    public void save(Path path) {
        try (Call call = new Call()) {
            call.check(Udi.LIB.udi_model_save(call.use(this), Text.path(path), call.error));
        }
    }

    /** {@return a copy of what it was made with} */
    public ModelConfig config() {
        ModelConfig config = new ModelConfig();
        try (Call call = new Call()) {
            call.check(Udi.LIB.udi_model_get_config(call.use(this), config.struct, call.error));
        }
        return config;
    }

    /** {@return its sizes, and the number of all its weights} */
    public ModelInfo info() {
        Native.ModelInfo info = new Native.ModelInfo();
        try (Call call = new Call()) {
            call.check(Udi.LIB.udi_model_get_info(call.use(this), info, call.error));
        }
        return ModelInfo.of(info);
    }

    /** {@return the official names of all weight tensors} */
    public List<String> names() {
        try (Call call = new Call()) {
            Native.ModelHandle model = call.use(this);
            return LongStream.range(0, Udi.LIB.udi_model_param_count(model))
                    .mapToObj(i -> Udi.LIB.udi_model_param_name(model, i)).toList();
        }
    }

    /**
     * A copy of a weight tensor. {@link Status#NOT_FOUND}: no weight is called so.
     *
     * @param name of {@link #names}
     * @return {@link Dtype#F32}, in the official shape
     */
    public Tensor get(String name) {
        try (Call call = new Call()) {
            int status = Udi.LIB.udi_model_param_get(call.use(this), Text.checked("name", name), call.out, call.error);
            return new Tensor(Tensor.made(call, lane(), status));
        }
    }

    /**
     * Overwrites a weight tensor. {@link Status#NOT_FOUND}: no weight is called so; {@link Status#SHAPE}: value has another
     * shape or dtype; {@link Status#STATE}: also a model that shares its weights.
     *
     * @param name of {@link #names}
     * @param value {@link Dtype#F32}, of the same shape
     */
    public void set(String name, Array value) {
        try (Call call = new Call()) {
            call.check(Udi.LIB.udi_model_param_set(call.use(this), Text.checked("name", name), Array.given(call, value),
                    call.error));
        }
    }

    /**
     * The evaluation transform that belongs to the weights: resize, centre crop. {@link Status#FORMAT}: an image cannot be
     * decoded, its index is in the message; {@link Status#SHAPE}: pixels of other channels than the model's.
     *
     * @param images at least one
     * @return [images, channels, image_size, image_size] as {@link #extract} takes it: {@link Dtype#U8} if all images are of
     *     8 bits, else {@link Dtype#F32}
     */
    public Tensor prepare(List<Image> images) {
        try (Call call = new Call()) {
            int status = Udi.LIB.udi_model_prepare(call.use(this), Image.given(call, images), images.size(), call.out,
                    call.error);
            return new Tensor(Tensor.made(call, lane(), status));
        }
    }

    /**
     * Tokens after the final norm. {@link Status#SHAPE}: the images are not so; {@link Status#INVALID}: also a token or a
     * block that the model has not.
     *
     * @param images [B, C, H, W] or [B, H, W, C], H and W multiples of patch_size; {@link Dtype#U8}, or {@link Dtype#F32}
     *     that is normalised already
     * @param layout which of the two
     * @param config null: cls of the last block
     * @return {@link Dtype#F32}, of the shape that {@link Token} says, its last dimension times num_blocks
     */
    public Tensor extract(Array images, Layout layout, ExtractConfig config) {
        try (Call call = new Call()) {
            int status = Udi.LIB.udi_model_extract(call.use(this), Array.given(call, images), layout.value(),
                    config == null ? null : config.struct, call.out, call.error);
            return new Tensor(Tensor.made(call, lane(), status));
        }
    }

    /**
     * Tokens of images of any size: {@link #prepare}, then {@link #extract(Array, Layout, ExtractConfig)}.
     *
     * @param images at least one
     * @param config null: cls of the last block
     * @return as there
     */
    public Tensor extract(List<Image> images, ExtractConfig config) {
        try (Tensor batch = prepare(images)) {
            return extract(batch.array(), Layout.NCHW, config);
        }
    }

    /**
     * Softmaxed attention over the patches. Class tokens as keys are left out, so the map of a class token sums to less than
     * 1. {@link Status#SHAPE}: the images are not so; {@link Status#INVALID}: also a source that the model has not.
     *
     * @param images as {@link #extract} takes them
     * @param layout theirs
     * @param config null: cls
     * @return {@link Dtype#F32}, [B, heads (of SRS: srs_heads), H / patch_size, W / patch_size]
     */
    public Tensor attention(Array images, Layout layout, AttentionConfig config) {
        try (Call call = new Call()) {
            int status = Udi.LIB.udi_model_attention(call.use(this), Array.given(call, images), layout.value(),
                    config == null ? null : config.struct, call.out, call.error);
            return new Tensor(Tensor.made(call, lane(), status));
        }
    }
}
