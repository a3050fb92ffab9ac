package trainer

import (
	"context"
	"errors"
	"fmt"

	"swath/trainer/data"
	"swath/trainer/report"
)

// CheckData returns what the parameters train_images, test_images, image_size, image_class and batch_size, of which o
// has the first four, ask for and a data set does not have, as far as it is known.
func CheckData(set data.Set, o data.Options, batch int) []error {
	var errs []error
	for _, err := range set.Check(o) {
		errs = append(errs, ofParameter(err))
	}
	if images, _ := set.Images(o); len(errs) == 0 && images > 0 {
		if err := CheckBatch(batch, images); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// CheckBatch reports a batch that the training images do not fill. To take a smaller one instead would let trials
// differ in batch_size and train alike.
func CheckBatch(batch, images int) error {
	if batch <= images {
		return nil
	}
	return fmt.Errorf("batch_size: %d is more than the %d training images (use at most %d)", batch, images, images)
}

// OpenData opens a data set below the folder dir. The error wraps report.ErrSpec if the set does not have what o asks
// for.
func OpenData(ctx context.Context, dataset, dir string, o data.Options) (*data.Dataset, error) {
	d, err := data.Open(ctx, dataset, dir, o)
	var request *data.RequestError
	if errors.As(err, &request) {
		return nil, fmt.Errorf("%w: %w", report.ErrSpec, ofParameter(request))
	}
	return d, err
}

// ofParameter names the parameter that asks for what a data set does not have.
func ofParameter(err *data.RequestError) error {
	param := map[string]string{"Train": "train_images", "Test": "test_images", "Size": "image_size", "Class": "image_class"}[err.Option]
	return fmt.Errorf("%s: %w", param, err)
}
