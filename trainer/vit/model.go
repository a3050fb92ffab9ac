package vit

import (
	"fmt"

	"gorgonia.org/gorgonia"
	"swath/trainer/nn"
)

// Model is a Vision Transformer with two graphs over the same weights: one for
// training, with dropout and gradients, and one for evaluation.
type Model struct {
	Config Config
	Params *nn.Params

	clock   *nn.Clock
	train   *network
	eval    *network
	weights []gorgonia.ValueGrad
	solver  gorgonia.Solver
}

// network is one graph of the model, with what goes into it and comes out.
type network struct {
	images, labels *gorgonia.Node // batch × channels × size × size; batch
	logits, loss   *gorgonia.Node // batch × classes; scalar
	machine        gorgonia.VM
}

// NewModel builds the model with its first weights, which depend on the seed alone.
func NewModel(c Config) (*Model, error) {
	m := &Model{Config: c, Params: nn.NewParams(c.Seed), clock: &nn.Clock{Seed: c.Seed}}
	// The two graphs never run at the same moment, so they compute in the same memory.
	space := nn.NewWorkspace()

	var err error
	train := nn.NewNet(m.Params, space, m.clock)
	m.train = c.define(train)
	if train.Err() == nil {
		weights, err := train.Differentiate(m.train.loss)
		if err != nil {
			return nil, fmt.Errorf("building the training graph: %w", err)
		}
		m.weights = nn.ValueGrads(weights)
	}
	if m.train.machine, err = train.Machine(); err != nil {
		return nil, fmt.Errorf("building the training graph: %w", err)
	}
	eval := nn.NewNet(m.Params, space, nil)
	m.eval = c.define(eval)
	if m.eval.machine, err = eval.Machine(); err != nil {
		return nil, fmt.Errorf("building the evaluation graph: %w", err)
	}
	m.solver = c.solver()
	return m, nil
}

// define adds the Vision Transformer of Dosovitskiy et al. 2021, equations 1 to 4,
// to a net: pre-norm encoder layers, learned positions, a class token that is read
// at the end (or after an earlier layer), layer norm and a linear head.
func (c *Config) define(n *nn.Net) *network {
	w := &network{
		images: n.Input("images", c.BatchSize, c.Channels, c.ImageSize, c.ImageSize),
		labels: n.Labels("labels", c.BatchSize),
	}
	x := n.PatchEmbed(w.images, "embed", c.PatchSize, c.EmbedDim)
	x = n.DropOut(x, "embed.dropout", c.Dropout)
	for l := range c.ClassTokenLayer {
		x = c.encoderLayer(n, x, fmt.Sprintf("encoder.%d", l+1))
	}
	class := n.ClassToken(x, "class", c.Tokens())
	class = n.LayerNorm(class, "norm")
	w.logits = n.Linear(class, "head", c.Classes, nn.Weights(nn.TruncatedNormal(0.02)))
	w.loss = n.CrossEntropy(w.logits, w.labels, "loss")
	return w
}

// encoderLayer is x + attention(norm(x)), and to that its MLP likewise.
func (c *Config) encoderLayer(n *nn.Net, x *gorgonia.Node, name string) *gorgonia.Node {
	h := n.LayerNorm(x, name+".norm1")
	h = n.Linear(h, name+".qkv", 3*c.EmbedDim)
	h = n.Attention(h, name+".attention", c.Tokens(), c.Heads)
	x = n.Linear(h, name+".projection", c.EmbedDim, nn.Dropout(c.Dropout), nn.Residual(x))

	h = n.LayerNorm(x, name+".norm2")
	h = n.Linear(h, name+".mlp1", c.MLPDim, nn.GELU(), nn.Dropout(c.Dropout))
	return n.Linear(h, name+".mlp2", c.EmbedDim, nn.Dropout(c.Dropout), nn.Residual(x))
}

// solver returns the optimiser that the parameters ask for.
func (c *Config) solver() gorgonia.Solver {
	if c.Optimizer == "sgd" {
		return &nn.SGD{LearningRate: c.LearningRate, Momentum: 0.9, WeightDecay: c.WeightDecay}
	}
	adam := nn.NewAdam(c.LearningRate)
	adam.WeightDecay = c.WeightDecay // 0 for adam
	return adam
}

// Batch is the input of one step: the images to fill, batch × channels × size × size, and their labels. An image
// with a negative label counts for nothing.
type Batch struct {
	Images []float32
	Labels []int32
}

// TrainBatch returns the input of [Model.Step].
func (m *Model) TrainBatch() Batch { return m.train.batch() }

// EvalBatch returns the input of [Model.Evaluate].
func (m *Model) EvalBatch() Batch { return m.eval.batch() }

func (w *network) batch() Batch {
	return Batch{Images: w.images.Value().Data().([]float32), Labels: w.labels.Value().Data().([]int32)}
}

// Result is what a batch came to.
type Result struct {
	Loss    float64 // mean over the images that count
	Correct int     // how many of them had the highest logit at their label
}

// Step trains one step on the training batch: forward, backward, update. The result
// is that of the weights before the update, with dropout.
func (m *Model) Step() (Result, error) {
	m.clock.Step++
	r, err := m.train.run()
	if err != nil {
		return r, err
	}
	if err := m.solver.Step(m.weights); err != nil {
		return r, fmt.Errorf("updating the weights: %w", err)
	}
	return r, nil
}

// Evaluate computes the loss of the evaluation batch, without dropout.
func (m *Model) Evaluate() (Result, error) { return m.eval.run() }

func (w *network) run() (Result, error) {
	if err := nn.Run(w.machine); err != nil {
		return Result{}, err
	}
	loss, err := nn.Scalar(w.loss)
	if err != nil {
		return Result{}, err
	}
	return Result{Loss: loss, Correct: nn.Correct(w.logits.Value().Data().([]float32), w.batch().Labels)}, nil
}

// FLOPs returns the floating-point operations of one training step, counted as is
// usual: two for each multiplication and addition of the matrix products, forward
// and twice backward (the gradient of the images is not computed), nothing else.
func (c *Config) FLOPs() float64 {
	b, t, e, m := float64(c.BatchSize), float64(c.Tokens()), float64(c.EmbedDim), float64(c.MLPDim)
	pixels := float64(c.PatchSize * c.PatchSize * c.Channels)
	layer := b*t*e*(3*e+e+2*m) + 2*b*t*t*e
	return 2*(3*float64(c.ClassTokenLayer)*layer+3*b*e*float64(c.Classes)) + 4*b*(t-1)*pixels*e
}
