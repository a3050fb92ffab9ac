package dcgan

import "swath/trainer"

// Metrics returns what [Train] reports.
func Metrics() []trainer.Metric {
	var metrics []trainer.Metric
	for _, m := range []struct{ name, help string }{
		{"loss_d", "the discriminator's loss, on real and generated images"},
		{"loss_g", "the generator's loss"},
		{"d_x", "the discriminator's verdict on real images, from 0 to 1"},
		{"d_g_z1", "its verdict on generated images, before its update"},
		{"d_g_z2", "and after its update"},
		{"images_per_second", "speed of training"},
	} {
		metrics = append(metrics, trainer.Metric{Name: m.name, Help: m.help + "; every report_every steps, unless that is 0",
			Names: trainer.If(m.name, func(v trainer.Values) bool { return v.Int("report_every") > 0 })})
	}
	return append(metrics, trainer.Metric{Name: "swd", Help: "sliced Wasserstein distance between generated and held-out images, after each epoch; not if swd_images is 0",
		Names: trainer.If("swd", func(v trainer.Values) bool { return v.Int("swd_images") > 0 })})
}
