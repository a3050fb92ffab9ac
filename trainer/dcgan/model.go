package dcgan

import (
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
	"swath/trainer/nn"
	"swath/trainer/report"
)

// Model is a generator and a discriminator, as graphs that share weights and, because
// no two of them run at the same moment, memory.
//
// A step of training runs three graphs: the generator; the discriminator with the
// gradients of its weights, once on real and once on generated images (each a batch of
// its own for the batch norms); and the generator's step, which is the generator again,
// with the results of its first run reused, under the discriminator with frozen weights.
type Model struct {
	Config Config
	Params *nn.Params

	clock *nn.Clock

	generator     graph // z to images
	discriminator graph // images and targets to a loss
	step          graph // z to a loss

	g, d player

	// mapping and synthesis are the generator for evaluation, in its two halves; with
	// the plain generator, mapping has no machine and w is z.
	mapping, synthesis graph
}

// graph is one compiled graph, with what goes into it and comes out.
type graph struct {
	net               *nn.Net
	in, targets       *gorgonia.Node
	out, logits, loss *gorgonia.Node
	machine           gorgonia.VM
}

func (g *graph) run() error       { return nn.Run(g.machine) }
func (g *graph) input() []float32 { return elements(g.in) }

// elements are those of a node that holds float32.
func elements(n *gorgonia.Node) []float32 { return n.Value().Data().([]float32) }

// player is one of the two networks as the optimiser sees it.
type player struct {
	weights []*nn.Trainable
	grads   []gorgonia.ValueGrad // the weights, with the gradients that the solver takes
	solver  *nn.Adam
}

// NewModel builds the model with its first weights, which depend on the seed alone.
func NewModel(c Config) (*Model, error) {
	m := &Model{Config: c, Params: nn.NewParams(c.Seed), clock: &nn.Clock{Seed: c.Seed}}
	space := nn.NewWorkspace()
	for _, g := range []struct {
		name  string
		graph *graph
		build func(n *nn.Net, g *graph) error
		clock *nn.Clock // nil for evaluation
	}{
		{"generator", &m.generator, m.buildGenerator, m.clock},
		{"discriminator", &m.discriminator, m.buildDiscriminator, m.clock},
		{"generator's step", &m.step, m.buildStep, m.clock},
		{"mapping network for evaluation", &m.mapping, m.buildMapping, nil},
		{"generator for evaluation", &m.synthesis, m.buildSynthesis, nil},
	} {
		g.graph.net = nn.NewNet(m.Params, space, g.clock)
		err := g.build(g.graph.net, g.graph)
		if err == nil && g.graph.in != nil {
			g.graph.machine, err = g.graph.net.Machine()
		}
		if err != nil {
			return nil, fmt.Errorf("building the graph of the %s: %w", g.name, err)
		}
	}
	return m, nil
}

// solver returns Adam as the DCGAN paper has it.
func (c *Config) solver() *nn.Adam {
	a := nn.NewAdam(c.LearningRate)
	a.Beta1 = c.Beta1
	return a
}

// latents adds the input z: for the plain generator an image of one pixel.
func (c *Config) latents(n *nn.Net) *gorgonia.Node {
	if c.Generator == styleGenerator {
		return n.Input("z", c.BatchSize, c.LatentDim)
	}
	return n.Input("z", c.BatchSize, 1, 1, c.LatentDim)
}

// generator adds the generator that the parameters ask for.
func (c *Config) generator(n *nn.Net, z *gorgonia.Node, reuse bool) *gorgonia.Node {
	if c.Generator == styleGenerator {
		return c.synthesise(n, c.mapLatents(n, z), reuse)
	}
	return c.generate(n, z, reuse)
}

func (m *Model) buildGenerator(n *nn.Net, g *graph) error {
	g.in = m.Config.latents(n)
	g.out = m.Config.generator(n, g.in, false)
	return nil
}

func (m *Model) buildDiscriminator(n *nn.Net, g *graph) (err error) {
	c := &m.Config
	g.in = n.Input("images", c.BatchSize, c.ImageSize, c.ImageSize, channels)
	g.targets = n.Input("targets", c.BatchSize)
	g.logits = c.judge(n, g.in, false)
	g.loss = n.BinaryCrossEntropy(g.logits, g.targets, "discriminator.loss")
	m.d.solver = c.solver()
	if m.d.weights, err = n.Differentiate(g.loss); err != nil {
		return err
	}
	for _, w := range m.d.weights {
		m.d.grads = append(m.d.grads, &accumulated{Trainable: w, sum: tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(w.Param.Value.Shape()...))})
	}
	return nil
}

func (m *Model) buildStep(n *nn.Net, g *graph) (err error) {
	c := &m.Config
	g.in = c.latents(n)
	g.targets = n.Input("targets", c.BatchSize)
	fill(elements(g.targets), 1) // the generator wants its images taken for real
	g.out = c.generator(n, g.in, true)
	g.logits = c.judge(n, g.out, true)
	g.loss = n.BinaryCrossEntropy(g.logits, g.targets, "generator.loss")
	m.g.solver = c.solver()
	if m.g.weights, err = n.Differentiate(g.loss); err != nil {
		return err
	}
	m.g.grads = nn.ValueGrads(m.g.weights)
	return nil
}

func (m *Model) buildMapping(n *nn.Net, g *graph) error {
	if m.Config.Generator == styleGenerator {
		g.in = m.Config.latents(n)
		g.out = m.Config.mapLatents(n, g.in)
	}
	return nil
}

func (m *Model) buildSynthesis(n *nn.Net, g *graph) error {
	c := &m.Config
	if c.Generator == styleGenerator {
		g.in = n.Input("w", c.BatchSize, c.MappingWidth)
		g.out = c.synthesise(n, g.in, false)
		return nil
	}
	g.in = c.latents(n)
	g.out = c.generate(n, g.in, false)
	return nil
}

// accumulated is a weight whose gradient is the sum of those of several runs.
type accumulated struct {
	*nn.Trainable
	sum *tensor.Dense
}

// Grad returns the sum.
func (a *accumulated) Grad() (gorgonia.Value, error) { return a.sum, nil }

// add adds the gradient of the last run, or starts with it.
func (a *accumulated) add(first bool) error {
	v, err := a.Trainable.Grad()
	if err != nil {
		return err
	}
	sum, g := a.sum.Data().([]float32), v.Data().([]float32)
	if first {
		copy(sum, g)
		return nil
	}
	for i, x := range g {
		sum[i] += x
	}
	return nil
}

func fill(x []float32, v float32) {
	for i := range x {
		x[i] = v
	}
}

// WidthW is the length of the vectors that [Model.Synthesise] takes.
func (m *Model) WidthW() int {
	if m.Config.Generator == styleGenerator {
		return m.Config.MappingWidth
	}
	return m.Config.LatentDim
}

// Map sends latents, rows of latent_dim, through the mapping network, and appends the
// rows of w to dst. Without a mapping network w is z.
func (m *Model) Map(dst, z []float32) ([]float32, error) {
	if m.mapping.machine == nil {
		return append(dst, z...), nil
	}
	return m.mapping.each(dst, z, m.Config.LatentDim, m.Config.MappingWidth)
}

// Synthesise makes an image of each row of w and appends them to dst: NHWC, in [-1, 1].
// Batch norms use their running statistics and noise is fixed, so that an image
// depends on its own w alone. The error wraps report.ErrDiverged if images are not finite.
func (m *Model) Synthesise(dst, w []float32) ([]float32, error) {
	return m.synthesis.each(dst, w, m.WidthW(), m.Config.ImageSize*m.Config.ImageSize*channels)
}

// each runs a graph on all rows of x, a batch at a time, and appends the results.
func (g *graph) each(dst, x []float32, in, out int) ([]float32, error) {
	batch := g.input()
	for len(x) > 0 {
		n := copy(batch, x)
		clear(batch[n:])
		if err := g.run(); err != nil {
			return nil, fmt.Errorf("running the generator: %w", err)
		}
		results := elements(g.out)[:n/in*out]
		if !nn.Finite(results) {
			return nil, fmt.Errorf("%w: what the generator makes is not finite; %s", report.ErrDiverged, g.firstBad())
		}
		dst = append(dst, results...)
		x = x[n:]
	}
	return dst, nil
}
