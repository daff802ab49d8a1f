package org.libudi;

import com.sun.jna.Pointer;
import com.sun.jna.ptr.PointerByReference;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/** An array in memory that libudi knows: a result of a call, or another library's. */
public final class Tensor extends Handle<Native.TensorHandle> {
    /** Lets go of what tensors of {@link #wrap} read, by the number that C has for it. */
    private static final Map<Long, Runnable> WRAPPED = new ConcurrentHashMap<>();
    private static final AtomicLong LAST = new AtomicLong();
    private static final Native.ReleaseFn RELEASE = user -> WRAPPED.remove(Pointer.nativeValue(user)).run();

    private final Native.Array view = new Native.Array();
    private final Dtype dtype;
    private final long[] shape;
    private final long[] strides;

    Tensor(Owner<Native.TensorHandle> owner) {
        super(owner);
        try (Call call = new Call()) {
            call.check(Udi.LIB.udi_tensor_view(call.use(this), view, call.error));
            dtype = Dtype.of(view.dtype);
            shape = longs(view.shape, view.ndim);
            strides = view.strides == null ? Array.rowMajor(shape) : longs(view.strides, view.ndim);
        } catch (Throwable thrown) {
            close();
            throw thrown;
        }
    }

    static Owner<Native.TensorHandle> made(Call call, Lane lane, int status) {
        return call.made(status, lane, Native.TensorHandle::new, Udi.LIB::udi_tensor_free);
    }

    /** Its memory for C to read, during the call. */
    Native.Array view(Call call) {
        call.use(this);
        return view;
    }

    private static long[] longs(Pointer values, int count) {
        return count == 0 ? new long[0] : values.getLongArray(0, count);
    }

    /**
     * A tensor over an array's memory, without a copy, for {@link #toDlpack}. The memory is held until nothing reads it any
     * more; nothing of libudi writes to it.
     *
     * @param context where it lives
     * @param array the memory
     * @return the tensor
     */
    public static Tensor wrap(Context context, Array array) {
        long number = LAST.incrementAndGet();
        try (Call call = new Call()) {
            Native.ContextHandle where = call.use(context);
            Native.Array given = Array.given(call, array);
            Pointer user = new Pointer(number);
            WRAPPED.put(number, array.hold());
            int status = Udi.LIB.udi_tensor_wrap(where, given, RELEASE, user, call.out, call.error);
            if (status != Native.UDI_OK) {
                RELEASE.invoke(user);
            }
            return new Tensor(made(call, context.lane(), status));
        }
    }

    /**
     * Another library's memory as a tensor, without a copy: DLPack 1, on the CPU or on the context's GPU.
     * {@link Status#VERSION}: not DLPack 1; {@link Status#UNSUPPORTED}: elements without a {@link Dtype};
     * {@link Status#DEVICE}: memory of another device.
     *
     * @param context where the tensor lives
     * @param managed the address of a DLManagedTensorVersioned, which belongs to the tensor from now on; after a failure it
     *     is still the caller's
     * @return the tensor
     */
    public static Tensor fromDlpack(Context context, long managed) {
        try (Call call = new Call()) {
            int status = Udi.LIB.udi_tensor_from_dlpack(call.use(context), Pointer.createConstant(managed), call.out,
                    call.error);
            return new Tensor(made(call, context.lane(), status));
        }
    }

    /**
     * The memory for another library, without a copy: DLPack 1. It outlives the tensor.
     *
     * @return the address of a DLManagedTensorVersioned; whoever has it last calls its deleter, once, on any thread
     */
    public long toDlpack() {
        PointerByReference out = new PointerByReference();
        try (Call call = new Call()) {
            call.check(Udi.LIB.udi_tensor_to_dlpack(call.use(this), out, call.error));
        }
        return Pointer.nativeValue(out.getValue());
    }

    /** {@return the type of its elements} */
    public Dtype dtype() {
        return dtype;
    }

    /** {@return a copy of its sizes} */
    public long[] shape() {
        return shape.clone();
    }

    /** {@return it as what calls take, without a copy; valid as long as it is open} */
    public Array array() {
        return Array.of(this);
    }

    /**
     * Its memory, without a copy, in the machine's byte order. It stays valid when the tensor is closed: its memory goes
     * when both are gone, and the buffer goes with the garbage collector. {@link #toByteArray} holds nothing.
     *
     * <p>IllegalStateException: the memory is on a GPU, not contiguous, or of more than 2^31 - 1 bytes.
     *
     * @return a buffer of its own
     */
    public ByteBuffer byteBuffer() {
        try (Call call = new Call()) {
            ByteBuffer buffer = contiguous(call).getByteBuffer(0, (long) count() * Array.bytes(dtype));
            owner.retain();
            Owner.CLEANER.register(buffer, owner::release);
            return buffer;
        }
    }

    /**
     * {@link #byteBuffer} of a tensor of {@link Dtype#F32}, as floats; valid as that is.
     *
     * @return a buffer of its own
     */
    public FloatBuffer floatBuffer() {
        expect(Dtype.F32);
        return byteBuffer().asFloatBuffer();
    }

    /**
     * Of a tensor of {@link Dtype#F32}. IllegalStateException: as {@link #byteBuffer} says.
     *
     * @return a copy, row by row
     */
    public float[] toFloatArray() {
        expect(Dtype.F32);
        try (Call call = new Call()) {
            return contiguous(call).getFloatArray(0, count());
        }
    }

    /**
     * Of a tensor of {@link Dtype#U8}. IllegalStateException: as {@link #byteBuffer} says.
     *
     * @return a copy, row by row
     */
    public byte[] toByteArray() {
        expect(Dtype.U8);
        try (Call call = new Call()) {
            return contiguous(call).getByteArray(0, count());
        }
    }

    private int count() {
        return (int) Arrays.stream(shape).reduce(1, Math::multiplyExact);
    }

    private void expect(Dtype wanted) {
        if (dtype != wanted) {
            throw new IllegalStateException("this tensor is of " + dtype + ", not of " + wanted);
        }
    }

    /** Its memory, if Java can read it as it lies. */
    private Pointer contiguous(Call call) {
        call.use(this);
        if (view.device_type != Native.UDI_CPU) {
            throw new IllegalStateException("this tensor is on a GPU");
        }
        long elements = 1;
        for (int i = shape.length - 1; i >= 0; --i) {
            if (shape[i] > 1 && strides[i] != elements) { // of a dimension of one element the stride means nothing
                throw new IllegalStateException("this tensor is not contiguous: shape " + Arrays.toString(shape)
                        + ", strides " + Arrays.toString(strides));
            }
            elements = Math.multiplyExact(elements, shape[i]);
        }
        if (elements > Integer.MAX_VALUE / Array.bytes(dtype)) {
            throw new IllegalStateException("this tensor has " + elements + " elements, too many for one buffer: at most "
                    + Integer.MAX_VALUE + " bytes");
        }
        return view.data;
    }
}
