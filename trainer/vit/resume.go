package vit

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"

	"swath/trainer"
	"swath/trainer/checkpoint"
	"swath/trainer/data"
	"swath/trainer/nn"
)

// identity says which training a configuration and its data are: what decides the
// weights and the metrics. Threads and checkpoint_every do not; under a constant learning
// rate epochs does not either, so that a training may go on to more of them.
func identity(c *Config, d *data.Dataset) checkpoint.Identity {
	number := func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
	params := map[string]string{
		"dataset":           c.Dataset,
		"images":            fmt.Sprintf("%d and %d (%08x)", d.Train.Len(), d.Test.Len(), fingerprint(d)),
		"image_size":        strconv.Itoa(c.ImageSize),
		"classes":           strconv.Itoa(c.Classes),
		"patch_size":        strconv.Itoa(c.PatchSize),
		"embed_dim":         strconv.Itoa(c.EmbedDim),
		"heads":             strconv.Itoa(c.Heads),
		"encoder_layers":    strconv.Itoa(c.EncoderLayers),
		"class_token_layer": strconv.Itoa(c.ClassTokenLayer),
		"mlp_dim":           strconv.Itoa(c.MLPDim),
		"dropout":           number(c.Dropout),
		"learning_rate":     number(c.LearningRate),
		"weight_decay":      number(c.WeightDecay),
		"schedule":          c.Schedule,
		"warmup_epochs":     number(c.WarmupEpochs),
		"optimizer":         c.Optimizer,
		"batch_size":        strconv.Itoa(c.BatchSize),
		"augment":           c.Augment,
		"seed":              strconv.FormatUint(c.Seed, 10),
		"probe_layers":      strconv.FormatBool(c.ProbeLayers),
		"report_every":      strconv.Itoa(c.ReportEvery),
	}
	if c.Schedule != "constant" {
		params["epochs"] = strconv.Itoa(c.Epochs)
	}
	if c.Crop != data.CropCenter { // which is what checkpoints without it have
		params["crop"] = string(c.Crop)
	}
	return checkpoint.Identity{Trainer: Name, Params: params}
}

// fingerprint is a checksum of all pixels and labels, in their order.
func fingerprint(d *data.Dataset) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	var sum uint32
	for _, s := range []data.Split{d.Train, d.Test} {
		sum = crc32.Update(sum, table, s.Images)
		var labels []byte
		for _, l := range s.Labels {
			labels = binary.AppendUvarint(labels, uint64(l))
		}
		sum = crc32.Update(sum, table, labels)
	}
	return sum
}

// state is the part of a checkpoint that is not tensors: where the training stands, and
// what was summed up so far. Order of images, augmentation and dropout are functions of
// seed and position, so there is no generator to save.
type state struct {
	Position   trainer.Position `json:"position"`
	SolverStep int              `json:"solver_step"`
	Sum        tally            `json:"sum"`    // over the epoch so far
	Recent     tally            `json:"recent"` // since loss was last reported
}

// checkpoint returns the state of the training. Its tensors are the model's own memory.
func (r *run) checkpoint(at trainer.Position) (*checkpoint.Checkpoint, error) {
	solver, err := r.model.solver.State(r.model.weights)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(state{Position: at, SolverStep: solver.Step, Sum: r.sum, Recent: r.recent})
	if err != nil {
		return nil, fmt.Errorf("encoding the state of the training: %w", err)
	}
	c := &checkpoint.Checkpoint{Step: at.Steps(r.perEpoch), State: text, Reports: r.history.Reports()}
	for _, w := range r.model.weights {
		c.Tensors = append(c.Tensors, checkpoint.Tensor{Name: w.Name(), Shape: slices.Clone(w.Param.Value.Shape()), Data: w.Data()})
	}
	for _, v := range solver.Vectors {
		c.Tensors = append(c.Tensors, checkpoint.Tensor{Name: v.Name, Shape: []int{len(v.Data)}, Data: v.Data})
	}
	return c, nil
}

// restore puts the training into the state of a checkpoint, and reports what it had
// reported until then.
func (r *run) restore(c *checkpoint.Checkpoint) (trainer.Position, error) {
	var s state
	if err := json.Unmarshal(c.State, &s); err != nil {
		return s.Position, fmt.Errorf("reading the state of the training: %w", err)
	}
	if at := s.Position; at.Epoch < 1 || at.Done < 0 || at.Done > r.perEpoch || at.Steps(r.perEpoch) != c.Step {
		return at, fmt.Errorf("step %d cannot be step %d of epoch %d", c.Step, at.Done, at.Epoch)
	}
	if s.Position.Epoch > r.model.Config.Epochs+1 {
		return s.Position, fmt.Errorf("it is %d epochs old, and only %d are asked for", s.Position.Epoch-1, r.model.Config.Epochs)
	}
	solver, err := r.model.solver.State(r.model.weights)
	if err != nil {
		return s.Position, err
	}
	saved := nn.SolverState{Step: s.SolverStep}
	for _, v := range solver.Vectors {
		data, err := c.Tensor(v.Name, len(v.Data))
		if err != nil {
			return s.Position, err
		}
		saved.Vectors = append(saved.Vectors, nn.SolverVector{Name: v.Name, Data: data})
	}
	for _, w := range r.model.weights {
		data, err := c.Tensor(w.Name(), len(w.Data()))
		if err != nil {
			return s.Position, err
		}
		copy(w.Data(), data)
	}
	if err := r.model.solver.SetState(r.model.weights, saved); err != nil {
		return s.Position, err
	}
	r.model.clock.Step = uint64(c.Step)
	r.sum, r.recent = s.Sum, s.Recent
	return s.Position, r.history.Replay(c.Reports)
}
