package org.libudi;

import com.sun.jna.Memory;
import com.sun.jna.Pointer;
import java.lang.ref.Reference;
import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.util.Arrays;

/**
 * An array for a call to read: memory, the type of its elements, a shape. Direct buffers are not copied: what is in them at
 * the time of a call counts. Buffers that are not direct, and Java's own arrays, are copied here.
 */
public final class Array {
    private final Dtype dtype;
    private final long[] shape;
    private final long[] strides; // null: row-major
    private final Buffer memory;
    private final Tensor tensor; // instead of memory

    private Array(Dtype dtype, long[] shape, long[] strides, Buffer memory, Tensor tensor) {
        this.dtype = dtype;
        this.shape = shape.clone();
        this.strides = strides == null ? null : strides.clone();
        this.memory = memory;
        this.tensor = tensor;
    }

    /**
     * What remains of a buffer, in the machine's byte order.
     *
     * @param data direct: not copied
     * @param dtype of its elements
     * @param shape at least as many bytes as it needs must remain
     * @return the array
     */
    public static Array of(ByteBuffer data, Dtype dtype, long... shape) {
        return of(data, dtype, shape, null);
    }

    /**
     * The same with strides, so that parts, transpositions and repetitions need no copy.
     *
     * @param data direct: not copied
     * @param dtype of its elements
     * @param shape a size for each dimension, at least 1
     * @param strides in elements, at least 0; null: row-major and contiguous
     * @return the array
     */
    public static Array of(ByteBuffer data, Dtype dtype, long[] shape, long[] strides) {
        ByteBuffer memory = Direct.of(data);
        return checked(new Array(dtype, shape, strides, memory, null), memory.remaining() / bytes(dtype));
    }

    /**
     * What remains of a buffer of {@link Dtype#F32}.
     *
     * @param data direct and in the machine's byte order: not copied
     * @param shape at least as many elements as it needs must remain
     * @return the array
     */
    public static Array of(FloatBuffer data, long... shape) {
        Buffer memory = Direct.of(data);
        return checked(new Array(Dtype.F32, shape, null, memory, null), memory.remaining());
    }

    /**
     * A copy of values as {@link Dtype#F32}.
     *
     * @param values at least as many as shape needs
     * @param shape a size for each dimension, at least 1
     * @return the array
     */
    public static Array of(float[] values, long... shape) {
        return of(Direct.copy(values), Dtype.F32, shape);
    }

    /**
     * A copy of values as {@link Dtype#U8}.
     *
     * @param values at least as many as shape needs
     * @param shape a size for each dimension, at least 1
     * @return the array
     */
    public static Array of(byte[] values, long... shape) {
        return of(Direct.copy(values), Dtype.U8, shape);
    }

    static Array of(Tensor tensor) {
        return new Array(tensor.dtype(), tensor.shape(), null, null, tensor);
    }

    static int bytes(Dtype dtype) {
        return switch (dtype) {
            case U8 -> 1;
            case U16, F16, BF16 -> 2;
            case I32, F32 -> 4;
            case I64, F64 -> 8;
        };
    }

    /** The strides of an array that is row-major and contiguous. */
    static long[] rowMajor(long[] shape) {
        long[] strides = new long[shape.length];
        long next = 1;
        for (int i = shape.length - 1; i >= 0; --i) {
            strides[i] = next;
            next = Math.multiplyExact(next, shape[i]);
        }
        return strides;
    }

    /** C reads as far as shape and strides say: they must not say more than there is. */
    private static Array checked(Array array, long elements) {
        String what = "shape " + Arrays.toString(array.shape)
                + (array.strides == null ? "" : " with strides " + Arrays.toString(array.strides));
        if (Arrays.stream(array.shape).anyMatch(size -> size < 1)) {
            throw new IllegalArgumentException(what + ": every size must be at least 1");
        }
        long needed = 1;
        try {
            long[] strides = array.strides == null ? rowMajor(array.shape) : array.strides;
            if (strides.length != array.shape.length || Arrays.stream(strides).anyMatch(stride -> stride < 0)) {
                throw new IllegalArgumentException(what + ": a stride of at least 0 is needed for each size");
            }
            for (int i = 0; i < strides.length; ++i) {
                needed = Math.addExact(needed, Math.multiplyExact(array.shape[i] - 1, strides[i]));
            }
        } catch (ArithmeticException overflow) {
            needed = Long.MAX_VALUE;
        }
        if (needed > elements) {
            throw new IllegalArgumentException(what + " needs " + needed + " elements, there are " + elements);
        }
        return array;
    }

    /** For C, during the call; null for null. */
    static Native.Array given(Call call, Array array) {
        if (array == null) {
            return null;
        }
        if (array.tensor != null) {
            return array.tensor.view(call);
        }
        Native.Array given = new Native.Array();
        given.dtype = array.dtype.value();
        given.device_type = Native.UDI_CPU;
        given.ndim = array.shape.length;
        given.shape = longs(array.shape);
        given.strides = array.strides == null ? null : longs(array.strides);
        given.data = Direct.pointer(array.memory);
        call.keep(array.memory);
        return given;
    }

    private static Pointer longs(long[] values) {
        Memory memory = new Memory(8L * Math.max(values.length, 1));
        memory.write(0, values, 0, values.length);
        return memory;
    }

    /** Holds its memory until what is given back runs. */
    Runnable hold() {
        if (tensor == null) {
            return () -> Reference.reachabilityFence(memory);
        }
        tensor.owner.retain();
        return tensor.owner::release;
    }
}
