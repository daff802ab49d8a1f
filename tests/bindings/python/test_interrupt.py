"""Ctrl-C: the running call ends, KeyboardInterrupt comes, the program goes on. Each in a process of its own."""
import subprocess
import sys
import textwrap
import unittest

# In the call: the context is busy for another thread. The batch is a million times the same picture: hours of work.
SETTING = """
    import os, signal, sys, threading
    import numpy as np
    import recipe, udi

    context = udi.Context(num_threads=1)
    model = recipe.model(context)
    endless = np.broadcast_to(np.zeros((1, 3, 32, 32), np.uint8), (100_000_000, 3, 32, 32))

    def busy():
        try:
            model.info
        except udi.Error as error:
            return error.status == udi.Status.STATE

    def patiently(work):  # busy() may be inside, too
        while True:
            try:
                return work()
            except udi.Error as error:
                if error.status != udi.Status.STATE:
                    raise

    def once_busy(act):
        def wait():
            while not busy():
                pass
            act()
        threading.Thread(target=wait, daemon=True).start()
"""


class Interrupt(unittest.TestCase):
    def run_in_child(self, program):
        program = textwrap.dedent(SETTING) + textwrap.dedent(program)
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
        self.assertEqual((result.returncode, result.stdout), (0, "as promised\n"), result.stderr)
        return result

    def test_in_a_training_loop(self):
        self.run_in_child("""
            trainer = udi.Trainer(model, total_steps=10**9, steps_per_epoch=10**9)
            views = udi.Views(context, recipe.images(), recipe.crops())
            once_busy(lambda: os.kill(os.getpid(), signal.SIGINT))
            try:
                while True:
                    patiently(lambda: trainer.step(views))
            except KeyboardInterrupt:
                done = trainer.steps
            trainer.step(views)
            assert trainer.steps == done + 1
            print("as promised")
        """)

    def test_ends_a_call_of_hours(self):
        for send in ("os.kill(os.getpid(), signal.SIGINT)", "signal.pthread_kill(threading.get_ident(), signal.SIGINT)"):
            self.run_in_child(f"""
                once_busy(lambda: {send})
                try:
                    patiently(lambda: model.extract(endless))
                except KeyboardInterrupt:
                    assert model.extract(endless[:2]).shape == (2, 24)
                    print("as promised")
            """)

    def test_python_has_its_handler_back(self):
        self.run_in_child("""
            model.extract(endless[:2])
            try:
                os.kill(os.getpid(), signal.SIGINT)
                [None for _ in range(10**6)]
            except KeyboardInterrupt:
                print("as promised")
        """)

    def test_unhandled_it_ends_the_program(self):
        program = textwrap.dedent(SETTING) + textwrap.dedent("""
            once_busy(lambda: os.kill(os.getpid(), signal.SIGINT))
            patiently(lambda: model.extract(endless))
        """)
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
        self.assertIn("KeyboardInterrupt", result.stderr)
        self.assertIn(result.returncode, (-2, 130))

    def test_a_handler_of_the_programs_own_is_kept(self):
        self.run_in_child("""
            seen = []
            signal.signal(signal.SIGINT, lambda *_: seen.append(1))
            once_busy(lambda: (os.kill(os.getpid(), signal.SIGINT), context.cancel()))
            try:
                patiently(lambda: model.extract(endless))
            except udi.Cancelled as error:
                assert seen and error.status == udi.Status.CANCELLED
                context.clear_cancel()
                assert model.extract(endless[:2]).shape == (2, 24)
                print("as promised")
        """)

    def test_in_another_thread_the_context_cancels(self):
        self.run_in_child("""
            raised = []
            def work():
                try:
                    patiently(lambda: model.extract(endless))
                except udi.Cancelled as error:
                    raised.append(error)
            thread = threading.Thread(target=work)
            thread.start()
            while not busy():
                pass
            context.cancel()
            thread.join()
            assert raised
            print("as promised")
        """)

    def test_closing_during_a_call_waits_for_it(self):
        self.run_in_child("""
            import weakref
            owners = weakref.ref(model._owner), weakref.ref(context._owner)
            kept = []
            def close():
                model.close()
                context.close()
                kept.extend(owner() is not None for owner in owners)
                os.kill(os.getpid(), signal.SIGINT)
            extract = model.extract
            once_busy(close)
            try:
                patiently(lambda: extract(endless))
            except KeyboardInterrupt:
                assert kept == [True, True] and model.closed and context.closed
            del extract, model, context
            assert [owner() for owner in owners] == [None, None]
            print("as promised")
        """)

    def test_in_a_job(self):
        self.run_in_child("""
            import tempfile
            with tempfile.TemporaryDirectory() as folder:
                def progress(now):
                    os.kill(os.getpid(), signal.SIGINT)
                try:
                    context.run("demo-data", progress, out=folder + "/drawn", train=2000, test=20)
                except KeyboardInterrupt:
                    assert model.extract(endless[:2]).shape == (2, 24)
                    print("as promised")
        """)


if __name__ == "__main__":
    unittest.main()
