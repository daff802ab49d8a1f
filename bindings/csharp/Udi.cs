// libudi for .NET and Mono: what Native.cs, the functions of udi.h, needs to be used safely.
//
//     using Udi;
//     ContextHandle context;
//     Error error;
//     Library.Check(Native.udi_context_create(null, out context, &error), &error);
//
// Handles are SafeHandles: `using` or the garbage collector gives them back, in any order. A failure is a UdiException.
// Structs of Native.cs are blittable: allocate them on the stack and pass their address. Set struct_size where the header
// says so. Keep a delegate alive as long as the library may call it.
using System;
using System.Runtime.InteropServices;
using System.Text;

namespace Udi
{
    /// <summary>A failed call: libudi's status and text.</summary>
    public sealed class UdiException : Exception
    {
        /// <summary>Native.UDI_E_...</summary>
        public int Status { get; }

        public UdiException(int status, string text)
            : base(Library.Text(Native.udi_status_name(status)) + ": " + text)
        {
            Status = status;
        }
    }

    /// <summary>What a binding was made from, or what a library offers (bindings/README.md).</summary>
    public sealed class Interface
    {
        public string Fingerprint { get; }
        public uint Version { get; }
        public uint Abi { get; }

        public Interface(string fingerprint, uint version, uint abi)
        {
            Fingerprint = fingerprint;
            Version = version;
            Abi = abi;
        }

        /// <summary>Throws unless the library serves a binding of this interface: equal, or newer of the same ABI.</summary>
        public void Require(Interface library)
        {
            if (library.Fingerprint == Fingerprint || (library.Abi == Abi && library.Version > Version)) return;
            throw new DllNotFoundException("libudi " + library + " does not fit this binding, made for " + this +
                                           ": install a library of that version or newer with the same ABI");
        }

        public override string ToString()
        {
            return Version / 1000000 + "." + Version / 1000 % 1000 + "." + Version % 1000 + " (ABI " + Abi + ", interface " +
                   Fingerprint.Substring(0, 12) + ")";
        }
    }

    public static unsafe class Library
    {
        /// <summary>Throws for any status but UDI_OK. error: what the call filled; may be null.</summary>
        public static void Check(int status, Error* error)
        {
            if (status != Native.UDI_OK) throw new UdiException(status, error == null ? "" : Text((IntPtr)error->message));
        }

        /// <summary>A C string of libudi's, null for NULL.</summary>
        public static string Text(IntPtr text)
        {
            if (text == IntPtr.Zero) return null;
            byte* bytes = (byte*)text;
            int length = 0;
            while (bytes[length] != 0) ++length;
            return Encoding.UTF8.GetString(bytes, length);
        }

        /// <summary>The text that udi_job_run gave, which is freed.</summary>
        public static string Take(IntPtr text)
        {
            string taken = Text(text);
            Native.udi_string_free(text);
            return taken;
        }
    }
}
