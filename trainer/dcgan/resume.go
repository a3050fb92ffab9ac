package dcgan

import (
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
// weights and the metrics. Threads, epochs and the pictures do not; a training may go on
// to more epochs.
func identity(c *Config, d *data.Dataset) checkpoint.Identity {
	number := func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
	params := map[string]string{
		"dataset":                c.Dataset,
		"image_class":            c.ImageClass,
		"images":                 fmt.Sprintf("%d and %d (%08x)", d.Train.Len(), d.Test.Len(), fingerprint(d)),
		"image_size":             strconv.Itoa(c.ImageSize),
		"generator":              c.Generator,
		"latent_dim":             strconv.Itoa(c.LatentDim),
		"generator_features":     strconv.Itoa(c.GeneratorFeatures),
		"discriminator_features": strconv.Itoa(c.DiscriminatorFeatures),
		"learning_rate":          number(c.LearningRate),
		"beta1":                  number(c.Beta1),
		"batch_size":             strconv.Itoa(c.BatchSize),
		"seed":                   strconv.FormatUint(c.Seed, 10),
		"report_every":           strconv.Itoa(c.ReportEvery),
		"swd_images":             strconv.Itoa(c.SWDImages),
	}
	if c.Generator == styleGenerator {
		params["mapping_depth"] = strconv.Itoa(c.MappingDepth)
		params["mapping_width"] = strconv.Itoa(c.MappingWidth)
	}
	if c.Crop != data.CropCenter { // which is what checkpoints without it have
		params["crop"] = string(c.Crop)
	}
	return checkpoint.Identity{Trainer: Name, Params: params}
}

// fingerprint is a checksum of all pixels, in their order.
func fingerprint(d *data.Dataset) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Update(0, table, d.Train.Images), table, d.Test.Images)
}

// state is the part of a checkpoint that is not tensors: where the training stands, and
// what was summed up so far. Order of images, latents and noise are functions of seed
// and position, so there is no generator of random numbers to save.
type state struct {
	Position          trainer.Position `json:"position"`
	GeneratorStep     int              `json:"generator_step"`
	DiscriminatorStep int              `json:"discriminator_step"`
	RecentSteps       int              `json:"recent_steps"` // since the last report
	RecentSum         Result           `json:"recent_sum"`
}

// checkpoint returns the state of the training. Its tensors are the model's own memory:
// weights, the running statistics of batch norms, and what the optimisers remember.
func (r *run) checkpoint(at trainer.Position) (*checkpoint.Checkpoint, error) {
	m := r.model
	s := state{Position: at, RecentSteps: r.recent.steps, RecentSum: r.recent.sum}
	c := &checkpoint.Checkpoint{Step: at.Steps(r.perEpoch), Reports: r.history.Reports()}
	for _, p := range m.Params.All() {
		c.Tensors = append(c.Tensors, checkpoint.Tensor{Name: p.Name, Shape: slices.Clone(p.Value.Shape()), Data: p.Data()})
	}
	for _, player := range []struct {
		*player
		step *int
	}{{&m.g, &s.GeneratorStep}, {&m.d, &s.DiscriminatorStep}} {
		solver, err := player.solver.State(player.weights)
		if err != nil {
			return nil, err
		}
		*player.step = solver.Step
		for _, v := range solver.Vectors {
			c.Tensors = append(c.Tensors, checkpoint.Tensor{Name: v.Name, Shape: []int{len(v.Data)}, Data: v.Data})
		}
	}
	var err error
	if c.State, err = json.Marshal(s); err != nil {
		return nil, fmt.Errorf("encoding the state of the training: %w", err)
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
	at, m := s.Position, r.model
	if at.Epoch < 1 || at.Done < 0 || at.Done > r.perEpoch || at.Steps(r.perEpoch) != c.Step {
		return at, fmt.Errorf("step %d cannot be step %d of epoch %d", c.Step, at.Done, at.Epoch)
	}
	if at.Epoch > m.Config.Epochs+1 {
		return at, fmt.Errorf("it is %d epochs old, and only %d are asked for", at.Epoch-1, m.Config.Epochs)
	}
	for _, p := range m.Params.All() {
		data, err := c.Tensor(p.Name, len(p.Data()))
		if err != nil {
			return at, err
		}
		copy(p.Data(), data)
	}
	for _, player := range []struct {
		*player
		step int
	}{{&m.g, s.GeneratorStep}, {&m.d, s.DiscriminatorStep}} {
		own, err := player.solver.State(player.weights)
		if err != nil {
			return at, err
		}
		saved := nn.SolverState{Step: player.step}
		for _, v := range own.Vectors {
			data, err := c.Tensor(v.Name, len(v.Data))
			if err != nil {
				return at, err
			}
			saved.Vectors = append(saved.Vectors, nn.SolverVector{Name: v.Name, Data: data})
		}
		if err := player.solver.SetState(player.weights, saved); err != nil {
			return at, err
		}
	}
	m.clock.Step = uint64(c.Step)
	r.recent = tally{steps: s.RecentSteps, sum: s.RecentSum}
	return at, r.history.Replay(c.Reports)
}
