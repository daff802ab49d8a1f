// What bindings/README.md prescribes, in C#: images, model and views of the tests.
using System;
using System.Runtime.InteropServices;
using Udi;

unsafe class Images : IDisposable
{
    public const int Count = 8, Side = 48;
    readonly byte[] pixels = new byte[Count * Side * Side * 3];
    readonly GCHandle pin;
    public readonly Image[] All = new Image[Count];

    public Images()
    {
        pin = GCHandle.Alloc(pixels, GCHandleType.Pinned);
        for (int i = 0; i < pixels.Length; ++i)
        {
            int c = i % 3, x = i / 3 % Side, y = i / 3 / Side % Side, n = i / 3 / Side / Side;
            pixels[i] = (byte)((29 * n + 3 * x * (n % 5 + 1) + 5 * y * (n % 3 + 1) + 71 * c + x * y / 8) % 256);
        }
        for (int n = 0; n < Count; ++n)
        {
            int size = Side * Side * 3;
            All[n] = new Image
            {
                struct_size = (uint)sizeof(Image), dtype = Native.UDI_U8, height = Side, width = Side, channels = 3,
                data = pin.AddrOfPinnedObject() + n * size, size = (ulong)size
            };
        }
    }

    public void Dispose() { pin.Free(); }
}

static unsafe class Recipe
{
    public static ContextHandle Context()
    {
        ContextConfig config;
        ContextHandle context;
        Error error;
        Native.udi_context_config_init(&config, (UIntPtr)sizeof(ContextConfig));
        config.num_threads = 1;
        Library.Check(Native.udi_context_create(&config, out context, &error), &error);
        return context;
    }

    public static ModelHandle Model(ContextHandle context, int patchSize = 8, string arch = "vit_tiny")
    {
        ModelConfig config;
        ModelHandle model;
        Error error;
        Library.Check(Native.udi_model_config_init(&config, (UIntPtr)sizeof(ModelConfig), arch, &error), &error);
        config.image_size = config.resize_size = 32;
        config.patch_size = patchSize;
        config.embed_dim = 24;
        config.depth = 2;
        config.heads = config.srs_heads = 3;
        config.out_dim = 64;
        config.head_hidden_dim = 32;
        config.head_bottleneck_dim = 16;
        Library.Check(Native.udi_model_create(context, &config, 1, out model, &error), &error);
        return model;
    }

    public static ViewsHandle Views(ContextHandle context, Images images, int count, int epoch)
    {
        ViewConfig config;
        ViewsHandle views;
        Error error;
        Native.udi_view_config_init(&config, (UIntPtr)sizeof(ViewConfig));
        config.global_size = 32;
        config.local_size = 16;
        config.patch_size = 8;
        config.local_crops = 2;
        config.global_window = 2;
        config.local_window = 1;
        fixed (Image* all = images.All)
        {
            Library.Check(Native.udi_views_create(context, &config, all, count, 7, epoch, 0, out views, &error), &error);
        }
        return views;
    }
}
