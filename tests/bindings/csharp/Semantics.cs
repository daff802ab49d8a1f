using System;
using Udi;

static unsafe class Semantics
{
    static ulong Fnv1a(byte* bytes, long size)
    {
        ulong hash = 14695981039346656037;
        for (long i = 0; i < size; ++i) hash = unchecked((hash ^ bytes[i]) * 1099511628211);
        return hash;
    }

    static ModelHandle Train(ContextHandle context, Images images)
    {
        TrainConfig config;
        TrainerHandle trainer;
        ModelHandle model;
        Error error;
        Native.udi_train_config_init(&config, (UIntPtr)sizeof(TrainConfig));
        config.total_steps = 3;
        config.warmup_steps = 0;
        config.seed = 3;
        using (ModelHandle student = Recipe.Model(context))
        {
            Library.Check(Native.udi_trainer_create(context, student, &config, out trainer, &error), &error);
        }
        using (trainer)
        {
            for (int step = 0; step < 3; ++step)
            {
                StepStats stats = new StepStats { struct_size = (uint)sizeof(StepStats) };
                using (ViewsHandle views = Recipe.Views(context, images, Images.Count, step))
                {
                    IntPtr[] list = { views.DangerousGetHandle() };
                    Library.Check(Native.udi_trainer_step(trainer, list, 1, &stats, &error), &error);
                }
                Console.WriteLine("step {0} loss {1:x16}", step, BitConverter.DoubleToInt64Bits(stats.loss));
            }
            Library.Check(Native.udi_trainer_model(trainer, Native.UDI_TEACHER, out model, &error), &error);
        }
        return model;
    }

    static void Extract(ModelHandle model, Images images)
    {
        ExtractConfig config;
        TensorHandle batch, tokens;
        Error error;
        Udi.Array array = new Udi.Array { struct_size = (uint)sizeof(Udi.Array) };
        Native.udi_extract_config_init(&config, (UIntPtr)sizeof(ExtractConfig));
        config.token = Native.UDI_TOKEN_BOTH;
        fixed (Image* all = images.All)
        {
            Library.Check(Native.udi_model_prepare(model, all, Images.Count, out batch, &error), &error);
        }
        Library.Check(Native.udi_tensor_view(batch, &array, &error), &error);
        Library.Check(Native.udi_model_extract(model, &array, Native.UDI_NCHW, &config, out tokens, &error), &error);
        Library.Check(Native.udi_tensor_view(tokens, &array, &error), &error);
        long* shape = (long*)array.shape;
        Console.WriteLine("tokens {0} {1} {2:x16}", shape[0], shape[1], Fnv1a((byte*)array.data, shape[0] * shape[1] * 4));
        tokens.Dispose();
        batch.Dispose();
    }

    static void Main()
    {
        Console.WriteLine("api " + Library.Text(Native.udi_api_fingerprint()));
        using (ContextHandle context = Recipe.Context())
        using (Images images = new Images())
        using (ModelHandle model = Train(context, images))
        {
            Extract(model, images);
        }
    }
}
