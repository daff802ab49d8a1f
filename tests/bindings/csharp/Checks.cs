// Errors, fit and leaks as in bindings/README.md.
using System;
using System.IO;
using System.Text.RegularExpressions;
using Udi;

static unsafe class Checks
{
    static void Expect(bool holds, string what)
    {
        if (!holds) throw new Exception("not so: " + what);
    }

    static void Fails(Action action, int status, string part)
    {
        try
        {
            action();
        }
        catch (UdiException failure)
        {
            Expect(failure.Status == status && failure.Message.Contains(part),
                   failure.Message + " is " + status + ", " + part);
            return;
        }
        throw new Exception("did not fail: " + part);
    }

    static void Errors()
    {
        using (ContextHandle context = Recipe.Context())
        {
            Fails(() => Recipe.Model(context, 8, "vit_huge"), Native.UDI_E_NOT_FOUND,
                  "UDI_E_NOT_FOUND: no architecture is called 'vit_huge'");
            Fails(() => Recipe.Model(context, 7), Native.UDI_E_INVALID, "patch_size");
            Fails(() => Recipe.Model(new ContextHandle()), Native.UDI_E_INVALID, "context is NULL");
        }
    }

    static bool Fits(char fingerprint, uint version, uint abi)
    {
        Interface ours = new Interface(new string('a', 64), 2000, 0);
        try
        {
            ours.Require(new Interface(new string(fingerprint, 64), version, abi));
            return true;
        }
        catch (DllNotFoundException failure)
        {
            Expect(failure.Message.Contains("made for 0.2.0 (ABI 0, interface aaaaaaaaaaaa)"), failure.Message);
            return false;
        }
    }

    static void Round(Images images, bool byHand)
    {
        ContextHandle context = Recipe.Context();
        ViewsHandle views = Recipe.Views(context, images, 2, 0);
        ModelHandle model = Recipe.Model(context);
        Expect(Native.udi_views_count(views) == 2, "two images");
        if (!byHand) return;
        context.Dispose();
        model.Dispose();
        views.Dispose();
    }

    static long Resident(Images images, int rounds) // KiB
    {
        for (int i = 0; i < rounds; ++i)
        {
            Round(images, i % 2 == 0);
            if (i % 10 == 9) // the runtime does not know how much memory hangs on a handle
            {
                GC.Collect();
                GC.WaitForPendingFinalizers();
            }
        }
        return long.Parse(Regex.Match(File.ReadAllText("/proc/self/status"), @"VmRSS:\s*(\d+)").Groups[1].Value);
    }

    static void Main()
    {
        Errors();
        Expect(Fits('a', 2000, 0) && Fits('b', 2001, 0), "the same and a newer one fit");
        Expect(!Fits('b', 2000, 0) && !Fits('b', 1999, 0) && !Fits('b', 2001, 1), "others do not");
        using (Images images = new Images())
        {
            long before = Resident(images, 100), grown = Resident(images, 1000) - before;
            Expect(grown < 8 * 1024, "1,000 rounds grew memory by " + grown + " KiB, less than 8192");
            Console.WriteLine("errors and fit as promised; 1,000 rounds grew memory by {0} KiB", grown);
        }
    }
}
