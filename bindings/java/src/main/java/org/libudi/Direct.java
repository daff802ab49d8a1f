package org.libudi;

import com.sun.jna.Pointer;
import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;

/** Memory outside Java's heap, which C can read. */
final class Direct {
    private Direct() {}

    static ByteBuffer allocate(long bytes) {
        return ByteBuffer.allocateDirect(Math.toIntExact(bytes)).order(ByteOrder.nativeOrder());
    }

    static ByteBuffer copy(byte[] values) {
        return allocate(values.length).put(values).flip();
    }

    static ByteBuffer copy(short[] values) {
        ByteBuffer copy = allocate(2L * values.length);
        copy.asShortBuffer().put(values);
        return copy;
    }

    static ByteBuffer copy(float[] values) {
        ByteBuffer copy = allocate(4L * values.length);
        copy.asFloatBuffer().put(values);
        return copy;
    }

    /** What remains of the buffer, itself where it is direct, else a copy. */
    static ByteBuffer of(ByteBuffer buffer) {
        return buffer.isDirect() ? buffer.slice() : allocate(buffer.remaining()).put(buffer.duplicate()).flip();
    }

    /** The same, a copy also where the bytes stand in another order than the machine's. */
    static Buffer of(FloatBuffer buffer) {
        if (buffer.isDirect() && buffer.order() == ByteOrder.nativeOrder()) {
            return buffer.slice();
        }
        return allocate(4L * buffer.remaining()).asFloatBuffer().put(buffer.duplicate()).flip();
    }

    /** Where it begins; valid as long as the buffer is reachable. */
    static Pointer pointer(Buffer direct) {
        return com.sun.jna.Native.getDirectBufferPointer(direct);
    }
}
