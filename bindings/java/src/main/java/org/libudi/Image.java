package org.libudi;

import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.util.List;

/**
 * One image of any size: a JPEG, PNG or .npy file's bytes, or pixels [height, width, channels]. Direct buffers are not
 * copied: what is in them at the time of a call counts. Other buffers, and Java's own arrays, are copied here.
 */
public final class Image {
    private final int dtype;
    private final int height;
    private final int width;
    private final int channels;
    private final Buffer data;
    private final long size;

    private Image(int dtype, int height, int width, int channels, ByteBuffer data) {
        this.dtype = dtype;
        this.height = height;
        this.width = width;
        this.channels = channels;
        this.data = data;
        size = data.remaining();
    }

    /**
     * A JPEG, PNG or .npy file.
     *
     * @param file its bytes
     * @return the image, which calls decode
     */
    public static Image encoded(byte[] file) {
        return encoded(Direct.copy(file));
    }

    /**
     * A JPEG, PNG or .npy file.
     *
     * @param file its bytes are what remains; direct: not copied
     * @return the image, which calls decode
     */
    public static Image encoded(ByteBuffer file) {
        return new Image(0, 0, 0, 0, Direct.of(file));
    }

    /**
     * Pixels of 8 bits.
     *
     * @param values [height, width, channels]
     * @param height 1 to 2^20
     * @param width 1 to 2^20
     * @param channels 1 to 16
     * @return the image
     */
    public static Image pixels(byte[] values, int height, int width, int channels) {
        return pixels(Direct.copy(values), Dtype.U8, height, width, channels);
    }

    /**
     * Pixels of 16 bits, 0 to 65535.
     *
     * @param values [height, width, channels]
     * @param height 1 to 2^20
     * @param width 1 to 2^20
     * @param channels 1 to 16
     * @return the image
     */
    public static Image pixels(short[] values, int height, int width, int channels) {
        return pixels(Direct.copy(values), Dtype.U16, height, width, channels);
    }

    /**
     * Pixels from 0 to 1.
     *
     * @param values [height, width, channels]
     * @param height 1 to 2^20
     * @param width 1 to 2^20
     * @param channels 1 to 16
     * @return the image
     */
    public static Image pixels(float[] values, int height, int width, int channels) {
        return pixels(Direct.copy(values), Dtype.F32, height, width, channels);
    }

    /**
     * Pixels in a buffer, in the machine's byte order.
     *
     * @param data what remains is [height, width, channels], exactly; direct: not copied
     * @param dtype {@link Dtype#U8}, {@link Dtype#U16} or {@link Dtype#F32} (0 to 1)
     * @param height 1 to 2^20
     * @param width 1 to 2^20
     * @param channels 1 to 16
     * @return the image
     */
    public static Image pixels(ByteBuffer data, Dtype dtype, int height, int width, int channels) {
        return new Image(dtype.value(), height, width, channels, Direct.of(data));
    }

    /** For C, during the call. */
    static Native.Image[] given(Call call, List<Image> images) {
        Native.Image[] given = (Native.Image[]) new Native.Image().toArray(Math.max(images.size(), 1));
        int i = 0;
        for (Image image : images) {
            Native.Image one = given[i++];
            one.struct_size = one.size();
            one.dtype = image.dtype;
            one.height = image.height;
            one.width = image.width;
            one.channels = image.channels;
            one.data = Direct.pointer(image.data);
            one.size = image.size;
            call.keep(image.data);
        }
        return given;
    }
}
