package org.libudi;

import com.sun.jna.PointerType;
import java.lang.ref.Cleaner;

/** What lives in libudi. */
abstract class Handle<P extends PointerType> implements AutoCloseable {
    final Owner<P> owner;
    private final Cleaner.Cleanable cleanable;

    Handle(Owner<P> owner) {
        this.owner = owner;
        cleanable = Owner.CLEANER.register(this, owner::close);
    }

    final Lane lane() {
        return owner.lane;
    }

    /**
     * Gives it back; it cannot be used any more. A call in another thread that uses it goes on to its end. In any order:
     * what was made from it stays. Where it is forgotten the garbage collector does it, but that does not know how much
     * memory there is to win.
     */
    @Override
    public final void close() {
        cleanable.clean();
    }
}
