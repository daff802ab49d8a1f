package org.libudi;

import java.util.List;

/** The crops of a batch of images and their sample maps. One thread at a time, see {@link Context}. */
public final class Views extends Handle<Native.ViewsHandle> {
    /**
     * Crops of images in memory. The draw of image i depends on (seed, epoch, firstSample + i) alone.
     * {@link Status#FORMAT}: an image cannot be decoded, its index is in the message; {@link Status#MEMORY}: also one over
     * the context's limits; {@link Status#SHAPE}: pixels of other channels.
     *
     * @param context where they live
     * @param config the augmentation
     * @param images at least one
     * @param seed of the draws
     * @param epoch 0 to 2^24 - 1
     * @param firstSample the number of the first image in its set, at least 0
     */
    public Views(Context context, ViewConfig config, List<Image> images, long seed, long epoch, long firstSample) {
        this(create(context, config, images, seed, epoch, firstSample));
    }

    Views(Owner<Native.ViewsHandle> owner) {
        super(owner);
    }

    static Owner<Native.ViewsHandle> made(Call call, Lane lane, int status) {
        return call.made(status, lane, Native.ViewsHandle::new, Udi.LIB::udi_views_free);
    }

    private static Owner<Native.ViewsHandle> create(Context context, ViewConfig config, List<Image> images, long seed,
            long epoch, long firstSample) {
        try (Call call = new Call()) {
            int status = Udi.LIB.udi_views_create(call.use(context), config.struct, Image.given(call, images),
                    images.size(), seed, epoch, firstSample, call.out, call.error);
            return made(call, context.lane(), status);
        }
    }

    /**
     * The crops of an augmentation of one's own. {@link Status#SHAPE}: an array is not so; {@link Status#INVALID}: also
     * values out of range.
     *
     * @param context where they live
     * @param config sizes and local_crops are read
     * @param global [2, B, C, G, G], {@link Dtype#U8}, or {@link Dtype#F32} (0 to 1)
     * @param local [L, B, C, l, l], the same; null where config has no local crops
     * @param coords {@link Dtype#F32} [2 + L, B, 4], (i0, j0, i1, j1) of each crop in its image, 0 to 1, the two j swapped
     *     when the crop is mirrored
     * @param sampleGlobal a mask of {@link Dtype#U8} [B, N] over tokens, 0 and 1, the same count in every row
     * @param sampleLocal the same of local crops, [B, n]; null where config has none
     * @return the views
     */
    public static Views fromArrays(Context context, ViewConfig config, Array global, Array local, Array coords,
            Array sampleGlobal, Array sampleLocal) {
        try (Call call = new Call()) {
            int status = Udi.LIB.udi_views_from_arrays(call.use(context), config.struct, Array.given(call, global),
                    Array.given(call, local), Array.given(call, coords), Array.given(call, sampleGlobal),
                    Array.given(call, sampleLocal), call.out, call.error);
            return new Views(made(call, context.lane(), status));
        }
    }

    /** {@return the number of images} */
    public long count() {
        try (Call call = new Call()) {
            return Udi.LIB.udi_views_count(call.use(this));
        }
    }

    /** {@return a copy of the global crops, [2, B, C, G, G]: U8, or F32 (0 to 1) where an image was not of 8 bits} */
    public Tensor globalCrops() {
        return crops(1);
    }

    /** {@return a copy of the local crops, [L, B, C, l, l], of the same type} */
    public Tensor localCrops() {
        return crops(0);
    }

    private Tensor crops(int global) {
        try (Call call = new Call()) {
            int status = Udi.LIB.udi_views_crops(call.use(this), global, call.out, call.error);
            return new Tensor(Tensor.made(call, lane(), status));
        }
    }

    /** {@return a copy of the crops' coordinates as {@link #fromArrays} takes them} */
    public Tensor coords() {
        try (Call call = new Call()) {
            int status = Udi.LIB.udi_views_coords(call.use(this), call.out, call.error);
            return new Tensor(Tensor.made(call, lane(), status));
        }
    }
}
