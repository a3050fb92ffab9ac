package vit

import (
	"fmt"

	"swath/trainer"
)

// layerAccuracy is the metric of an encoder layer, counted from 1.
func layerAccuracy(layer int) string { return fmt.Sprintf("test_accuracy_layer_%d", layer) }

// Metrics returns what [Train] reports.
func Metrics() []trainer.Metric {
	return []trainer.Metric{
		{Name: "train_loss", Help: "mean over an epoch's steps as they happened: with dropout, under changing weights"},
		{Name: "train_accuracy", Help: "likewise, share of the images"},
		{Name: "test_loss", Help: "on the test images, after each epoch"},
		{Name: "test_accuracy", Help: "share of the test images, after each epoch"},
		{Name: "test_accuracy_layer_K", Help: "with probe_layers, after each epoch: the class token read after encoder layer K, at most class_token_layer", Names: func(v trainer.Values) []string {
			if !v.Bool("probe_layers") {
				return nil
			}
			layers := v.Int("class_token_layer")
			if layers == 0 {
				layers = v.Int("encoder_layers")
			}
			var names []string
			for l := range layers {
				names = append(names, layerAccuracy(l+1))
			}
			return names
		}},
		{Name: "loss", Help: "mean over the last report_every steps, unless that is 0", Names: trainer.If("loss", func(v trainer.Values) bool { return v.Int("report_every") > 0 })},
		{Name: "images_per_second", Help: "training only, after each epoch"},
	}
}
