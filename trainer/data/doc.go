// Package data opens the labelled image sets that trainers learn from and hands them out as normalised batches.
//
// Vocabulary: a [Dataset] has two splits, train and test; a [Split] is images with their labels; a label is an
// index into the classes; an order is the sequence in which one epoch visits the training images; a batch is a
// few images as float32, normalised by the mean and standard deviation of the training pixels.
//
// A set is opened by name with [Open]:
//
//	shapes           synthetic, generated from a seed: needs no files
//	cifar10          the binary version of CIFAR-10, unpacked or still in its archive
//	fashion-mnist    Fashion-MNIST in idx files, gzipped or not
//	folder:PATH      a folder of JPEG and PNG images, one folder a class (see [Open] for the layouts, [Crop] for
//	                 what of an image that is not square is taken)
//
// Rules: images are uint8 in memory, in NCHW order (image, channel, row, column), and never change once a set is
// open, so that any number of goroutines may read it. Everything random is a pure function of a seed and a
// counter, so the same request gives the same images, the same subset and the same order on every machine. Files
// are checked while they are read: a truncated, overlong or mislabelled file is an error that names it, before any
// training starts. The package imports the standard library only; package fetch beside it does the downloading.
package data
