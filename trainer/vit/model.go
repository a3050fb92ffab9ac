package vit

import (
	"fmt"
	"math"

	"gorgonia.org/gorgonia"
	"swath/trainer/nn"
	"swath/trainer/report"
)

// Model is a Vision Transformer with two graphs over the same weights: one for
// training, with dropout and gradients, and one for evaluation; and a third, of the head
// alone, if layers are to be probed.
type Model struct {
	Config Config
	Params *nn.Params

	clock   *nn.Clock
	train   *network
	eval    *network
	probe   *head
	weights []*nn.Trainable
	grads   []gorgonia.ValueGrad // the weights, as the solver takes them
	solver  nn.Optimizer
}

// network is one graph of the model, with what goes into it and comes out.
type network struct {
	net            *nn.Net
	images, labels *gorgonia.Node   // batch × channels × size × size; batch
	qkv, layers    []*gorgonia.Node // of each encoder layer: (batch·tokens) × 3·dim, (batch·tokens) × dim
	logits, loss   *gorgonia.Node   // batch × classes; scalar
	machine        gorgonia.VM
}

// head classifies class tokens: batch × dim.
type head struct {
	class, logits *gorgonia.Node
	machine       gorgonia.VM
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
		m.weights, m.grads = weights, nn.ValueGrads(weights)
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
	if c.ProbeLayers {
		// It runs between two batches of the evaluation, whose results must survive it.
		n := nn.NewNet(m.Params, nn.NewWorkspace(), nil)
		m.probe = &head{class: n.Input("class", c.BatchSize, c.EmbedDim)}
		m.probe.logits = c.head(n, m.probe.class)
		if m.probe.machine, err = n.Machine(); err != nil {
			return nil, fmt.Errorf("building the graph of the head: %w", err)
		}
	}
	return m, nil
}

// define adds the Vision Transformer of Dosovitskiy et al. 2021, equations 1 to 4,
// to a net: pre-norm encoder layers, learned positions, a class token that is read
// at the end (or after an earlier layer), layer norm and a linear head.
func (c *Config) define(n *nn.Net) *network {
	w := &network{
		net:    n,
		images: n.Input("images", c.BatchSize, c.Channels, c.ImageSize, c.ImageSize),
		labels: n.Labels("labels", c.BatchSize),
	}
	x := n.PatchEmbed(w.images, "embed", c.PatchSize, c.EmbedDim)
	x = n.DropOut(x, "embed.dropout", c.Dropout)
	for l := range c.ClassTokenLayer {
		var qkv *gorgonia.Node
		// Of the last layer nothing but the class token is read, so for all other tokens it
		// stops at their keys and values: same loss, same gradients, a fifth less to do.
		last := l == c.ClassTokenLayer-1 && !c.AllTokens
		x, qkv = c.encoderLayer(n, x, fmt.Sprintf("encoder.%d", l+1), last)
		w.layers, w.qkv = append(w.layers, x), append(w.qkv, qkv)
	}
	if c.AllTokens {
		x = n.ClassToken(x, "class", c.Tokens())
	}
	w.logits = c.head(n, x)
	w.loss = n.CrossEntropy(w.logits, w.labels, "loss")
	return w
}

// head turns class tokens into logits.
func (c *Config) head(n *nn.Net, class *gorgonia.Node) *gorgonia.Node {
	class = n.LayerNorm(class, "norm")
	return n.Linear(class, "head", c.Classes, nn.Weights(nn.TruncatedNormal(0.02)))
}

// encoderLayer is x + attention(norm(x)), and to that its MLP likewise: for every token,
// or for the class token of each image alone.
func (c *Config) encoderLayer(n *nn.Net, x *gorgonia.Node, name string, class bool) (y, qkv *gorgonia.Node) {
	attention, residual := n.Attention, nn.Residual(x)
	var queries []nn.LinearOption
	if class {
		attention, residual = n.ClassAttention, nn.ClassResidual(x, c.Tokens())
		queries = append(queries, nn.ClassColumns(c.EmbedDim, c.Tokens()))
	}
	h := n.LayerNorm(x, name+".norm1")
	qkv = n.Linear(h, name+".qkv", 3*c.EmbedDim, queries...)
	h = attention(qkv, name+".attention", c.Tokens(), c.Heads)
	x = n.Linear(h, name+".projection", c.EmbedDim, nn.Dropout(c.Dropout), residual)

	h = n.LayerNorm(x, name+".norm2")
	h = n.Linear(h, name+".mlp1", c.MLPDim, nn.GELU(), nn.Dropout(c.Dropout))
	return n.Linear(h, name+".mlp2", c.EmbedDim, nn.Dropout(c.Dropout), nn.Residual(x)), qkv
}

// solver returns the optimiser that the parameters ask for.
func (c *Config) solver() nn.Optimizer {
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
// is that of the weights before the update, with dropout. If it, or a gradient, is not
// finite, nothing is updated, and the error wraps report.ErrDiverged and names the tensor
// that was the first not to be.
func (m *Model) Step() (Result, error) {
	m.clock.Step++
	r, err := m.train.run()
	if err != nil {
		return r, err
	}
	finite, err := nn.FiniteGradients(m.weights)
	if err != nil {
		return r, err
	}
	if !finite || !r.finite() {
		return r, m.train.diverged(r)
	}
	if err := m.solver.Step(m.grads); err != nil {
		return r, fmt.Errorf("updating the weights: %w", err)
	}
	return r, nil
}

// Evaluate computes the loss of the evaluation batch, without dropout. The error wraps
// report.ErrDiverged if it is not finite.
func (m *Model) Evaluate() (Result, error) {
	r, err := m.eval.run()
	if err == nil && !r.finite() {
		err = m.eval.diverged(r)
	}
	return r, err
}

// predictions are the classes that the model gave to the images evaluated last.
func (m *Model) predictions() []int {
	logits := m.eval.logits.Value().Data().([]float32)
	classes := make([]int, m.Config.BatchSize)
	for i := range classes {
		classes[i] = nn.ArgMax(logits[i*m.Config.Classes : (i+1)*m.Config.Classes])
	}
	return classes
}

// probeLayer counts how many of the images evaluated last are classified correctly by
// the head when it reads the class token after encoder layer l, counted from 0.
func (m *Model) probeLayer(l int) (correct int, err error) {
	c := &m.Config
	class := m.probe.class.Value().Data().([]float32)
	x := m.eval.layers[l].Value().Data().([]float32)
	stride := len(x) / c.BatchSize // an image has all its tokens, or in the last layer one
	for i := range c.BatchSize {
		copy(class[i*c.EmbedDim:(i+1)*c.EmbedDim], x[i*stride:])
	}
	if err := nn.Run(m.probe.machine); err != nil {
		return 0, fmt.Errorf("probing encoder layer %d: %w", l+1, err)
	}
	return nn.Correct(m.probe.logits.Value().Data().([]float32), m.eval.batch().Labels), nil
}

// attention returns how much the class token of image i of those evaluated last attends
// to each patch in encoder layer l, counted from 0: the mean over the heads.
func (m *Model) attention(l, i int) []float32 {
	c := &m.Config
	qkv, size := m.eval.qkv[l].Value().Data().([]float32), c.Tokens()*3*c.EmbedDim
	return nn.ClassAttentionMap(qkv[i*size:(i+1)*size], c.Tokens(), c.Heads)[1:]
}

// finite reports whether the loss is a number.
func (r Result) finite() bool { return !math.IsNaN(r.Loss) && !math.IsInf(r.Loss, 0) }

// diverged is the error of a run with a result that is not finite, or with such gradients.
func (w *network) diverged(r Result) error {
	first := w.net.NonFinite()
	if first == "" { // a sum of finite numbers that is not finite
		first = "every tensor is finite"
	} else {
		first = "first, " + first
	}
	return fmt.Errorf("%w: the loss is %v; %s (a smaller learning rate may help)", report.ErrDiverged, r.Loss, first)
}

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

// FLOPs returns the floating-point operations of one training step as it is done, counted
// as is usual: two for each multiplication and addition of the matrix products, forward
// and twice backward (the gradient of the images is not computed), nothing else.
func (c *Config) FLOPs() float64 {
	b, t, e, m := float64(c.BatchSize), float64(c.Tokens()), float64(c.EmbedDim), float64(c.MLPDim)
	pixels := float64(c.PatchSize * c.PatchSize * c.Channels)
	// Of each layer, the products by token: keys and values; queries, projection and MLP; and attention's, by pairs of tokens.
	kv, rest, pairs := b*t*2*e*e, b*t*(2*e*e+2*e*m), 2*b*t*t*e
	products := float64(c.ClassTokenLayer) * (kv + rest + pairs)
	if !c.AllTokens { // the last layer does the rest, and one query's attention, for one token of an image
		products -= (rest + pairs) * (t - 1) / t
	}
	return 2*(3*products+3*b*e*float64(c.Classes)) + 4*b*(t-1)*pixels*e
}
