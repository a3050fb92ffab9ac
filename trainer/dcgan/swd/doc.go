// Package swd measures how far a set of images is from another one by the sliced
// Wasserstein distance on Laplacian pyramids (Karras, Aila, Laine and Lehtinen 2018,
// "Progressive growing of GANs for improved quality, stability, and variation",
// section 5).
//
// Vocabulary. A level of the pyramid holds the details of an image at one size (Burt
// and Adelson 1987), the smallest level what is left: large-scale structure. A
// descriptor is a patch of 7×7 pixels of a level. A direction is a random unit vector
// of the descriptors' space.
//
// For each level, both sets' descriptors are taken at random places, each channel
// normalised over the set to mean 0 and standard deviation 1, and projected on random
// directions. On one direction, the Wasserstein distance of two equally large sets is
// the mean difference of the projections in sorted order; the mean over the directions
// is the level's distance, here times 1000 as in the paper's tables. A small distance at
// the smallest level says that the images agree in structure, at the largest in texture.
//
// Rules. Places and directions are functions of the seed, so that a set's distance to
// itself is exactly 0, repeated measurements agree bit for bit, and values are
// comparable between epochs and trials of the same options. They are not comparable
// with the paper's, which come from 16,384 images and more patches: with few images
// even two sets of the same kind are some distance apart.
package swd
