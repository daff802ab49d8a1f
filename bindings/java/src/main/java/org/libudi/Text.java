package org.libudi;

import com.sun.jna.Memory;
import com.sun.jna.Pointer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** Java's strings and C's, which end at their first zero byte. */
final class Text {
    static final String ENCODING = "UTF-8";

    private Text() {}

    /** What stands at the pointer; null for NULL. */
    static String of(Pointer text) {
        return text == null ? null : text.getString(0, ENCODING);
    }

    /** What libudi's message says, which ends with a zero byte. */
    static String of(byte[] message) {
        int length = 0;
        while (length < message.length && message[length] != 0) {
            ++length;
        }
        return new String(message, 0, length, StandardCharsets.UTF_8);
    }

    /** The value, which C would cut at a zero character. name: what it is, for the message. */
    static String checked(String name, String value) {
        if (value != null && value.indexOf('\0') >= 0) {
            throw new IllegalArgumentException(name + " has a zero character at " + value.indexOf('\0'));
        }
        return value;
    }

    /** The path of a file on the default file system; null for null. */
    static String path(Path path) {
        return path == null ? null : path.toFile().getPath();
    }

    /** The value as C's, which lives as long as the Memory; null for null. */
    static Memory memory(String name, String value) {
        if (value == null) {
            return null;
        }
        byte[] bytes = checked(name, value).getBytes(StandardCharsets.UTF_8);
        Memory memory = new Memory(bytes.length + 1L);
        memory.write(0, bytes, 0, bytes.length);
        memory.setByte(bytes.length, (byte) 0);
        return memory;
    }
}
