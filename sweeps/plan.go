package sweeps

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"sync"
)

// Planned is a trial as the plan computes it from its index.
type Planned struct {
	Index  int64
	ID     TrialID
	Params Params
}

// ErrExcluded is wrapped by [Plan.At] for a point that a constraint excludes; the
// error names the constraint.
var ErrExcluded = errors.New("excluded")

// maxTries is how often the random method tries to draw a point that the constraints
// allow.
const maxTries = 10_000

// Plan computes the trials of a spec one by one, in any order and from any number of
// goroutines. An index names the same trial for ever.
//
// The indices of a grid count its combinations in W&B's order, names sorted, the last
// one fastest, each Repeat times in a row. A combination that a constraint excludes
// keeps its indices. The indices of the random method count its draws, each Repeat
// times in a row; a draw that a constraint excludes is tried again under the same
// index, so none of them is excluded.
type Plan struct {
	spec   *Spec
	dims   []dimension // of a grid, slowest first
	chain  *dimension  // of dims, along which trials go on from each other; nil for none
	points int64       // of a grid: the product of the dimensions
	repeat int64
	size   int64
	prefix []byte // what the trainer puts into every TrialID
	keys   []uint64

	count     Count
	countOnce sync.Once
}

// dimension is one digit of a grid's index.
type dimension struct {
	param  int // in Space.params
	size   int64
	stride int64 // how many points a step of this digit is
}

// Plan checks that the spec's space has points, and returns the plan of its trials.
// It fails, with a *[FileError], if the grid has more points than an int64 counts, if
// the constraints leave nothing (as far as a million combinations show), or if an
// expression fails at one of the points that are tried.
func (s *Spec) Plan() (*Plan, error) {
	p, err := s.plan()
	if err != nil {
		return nil, err
	}
	if s.Method == Random {
		err = p.checkRandom()
	} else {
		err = p.checkGrid()
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// plan returns the plan without a look at its points.
func (s *Spec) plan() (*Plan, error) {
	p := &Plan{spec: s, repeat: int64(max(s.Repeat, 1)), prefix: s.trainerIdentity()}
	if s.Method == Random {
		p.size = math.MaxInt64
		if s.RunCap > 0 {
			p.size = s.RunCap
		}
		p.keys = make([]uint64, len(s.Space.params))
		for i, q := range s.Space.params {
			p.keys[i] = drawKey(s.Seed, q.path)
		}
		return p, nil
	}
	p.points = 1
	for i, q := range s.Space.params {
		if q.dist == Constant || q.dist == Derived {
			continue
		}
		n := q.gridSize()
		if n == 0 || p.points > math.MaxInt64/n {
			return nil, s.errorAt(s.places.parameters, "the grid has more than %d points, more than can be counted: give fewer values, or use method: random", int64(math.MaxInt64))
		}
		p.points *= n
		p.dims = append(p.dims, dimension{param: i, size: n})
	}
	if p.points > math.MaxInt64/p.repeat {
		return nil, s.errorAt(s.places.repeat, "%d points repeated %d times are more than can be counted: repeat fewer times", p.points, p.repeat)
	}
	p.size = p.points * p.repeat
	stride := int64(1)
	for i := len(p.dims) - 1; i >= 0; i-- {
		p.dims[i].stride = stride
		stride *= p.dims[i].size
	}
	p.chained()
	return p, nil
}

// Size is the number of indices, those of excluded points included; math.MaxInt64
// for a random sweep without run_cap, which has no end.
func (p *Plan) Size() int64 { return p.size }

// RunCap is how many trials may run at most; 0 is no bound. In a grid it is not the
// size, for excluded points do not count.
func (p *Plan) RunCap() int64 { return p.spec.RunCap }

// At computes the trial of an index in time proportional to the number of parameters.
// Its errors wrap [ErrExcluded] for a point that a constraint excludes (the Planned
// then has its index and the parameters, but those derived ones that the constraint did
// not need), and else [ErrInvalid].
func (p *Plan) At(i int64) (Planned, error) {
	if i < 0 || i >= p.size {
		return Planned{}, fmt.Errorf("%w: trial %d of sweep %s: the plan has indices 0 to %d", ErrInvalid, i, p.spec.Name, p.size-1)
	}
	number := i / p.repeat
	var e *evaluator
	var err error
	if p.spec.Method == Random {
		e, err = p.draw(number)
	} else {
		e, err = p.combine(number)
	}
	if errors.Is(err, ErrExcluded) && e != nil {
		return Planned{Index: i, Params: p.params(e, i)}, fmt.Errorf("trial %d of sweep %s: %w", i, p.spec.Name, err)
	}
	if err != nil {
		return Planned{}, fmt.Errorf("trial %d of sweep %s: %w", i, p.spec.Name, err)
	}
	params := p.params(e, i)
	return Planned{Index: i, ID: p.id(params, number), Params: params}, nil
}

// params makes the Params of index i from the evaluator's point.
func (p *Plan) params(e *evaluator, i int64) Params {
	params := p.spec.Space.assemble(e.values, e.known)
	if p.spec.Repeat > 0 {
		params[seedParameter] = int64(p.spec.Seed) + i%p.repeat
	}
	return params
}

// excluded is the error of a point that a constraint excludes.
type excluded struct{ by *expression }

func (x *excluded) Error() string { return "excluded by " + x.by.owner }
func (x *excluded) Unwrap() error { return ErrExcluded }

// combine evaluates the point of a grid.
func (p *Plan) combine(point int64) (*evaluator, error) {
	e := newEvaluator(p.spec.Space)
	for _, d := range p.dims {
		e.set(d.param, p.spec.Space.params[d.param].gridValue(point/d.stride%d.size))
	}
	by, err := e.firstFalse(p.spec.Space.constraints)
	if err != nil {
		return nil, err
	}
	if by != nil {
		return e, &excluded{by}
	}
	return e, e.deriveAll()
}

// draw evaluates a draw of the random method.
func (p *Plan) draw(number int64) (*evaluator, error) {
	e := newEvaluator(p.spec.Space)
	blame := map[*expression]int{}
	for try := range maxTries {
		e.forget()
		for i, q := range p.spec.Space.params {
			if q.dist != Constant && q.dist != Derived {
				e.set(i, q.quantile(uniform01(p.keys[i], number, try)))
			}
		}
		by, err := e.firstFalse(p.spec.Space.constraints)
		if err != nil {
			return nil, err
		}
		if by == nil {
			return e, e.deriveAll()
		}
		blame[by]++
	}
	by := mostBlamed(p.spec.Space.constraints, blame)
	return nil, &exhausted{by: by, alone: blame[by] == maxTries}
}

// exhausted is the error of a draw that the constraints exclude however often it is
// tried.
type exhausted struct {
	by    *expression
	alone bool // whether it excluded every try by itself
}

func (x *exhausted) Error() string {
	if x.alone {
		return fmt.Sprintf("%s excludes each of %d random points: loosen it, or choose ranges in which it holds", x.by.owner, maxTries)
	}
	return fmt.Sprintf("the constraints exclude each of %d random points, and %s most of them: loosen it, or choose ranges in which it holds more often",
		maxTries, x.by.owner)
}

func (x *exhausted) Unwrap() error { return ErrInvalid }

// mostBlamed returns the constraint that excluded the most points; of several, the
// first.
func mostBlamed(constraints []*expression, blame map[*expression]int) *expression {
	best := constraints[0]
	for _, c := range constraints {
		if blame[c] > blame[best] {
			best = c
		}
	}
	return best
}

// trainerIdentity is the trainer's part of the canonical encoding that a TrialID
// hashes. See id.
func (s *Spec) trainerIdentity() []byte {
	var command any
	if s.Trainer == "" {
		items := s.command()
		list := make([]any, len(items))
		for i, item := range items {
			list[i] = item
		}
		command = list
	}
	return appendJSON([]byte("swath trial 1\n"), []any{s.Trainer, s.Program, command})
}

// id is the first 16 hexadecimal digits of the SHA-256 of the trial's canonical
// encoding. The encoding is these lines, each ended by a line feed but the last:
//
//	swath trial 1
//	["TRAINER","PROGRAM",COMMAND]     COMMAND is a list of items (W&B's default where
//	                                  the file has none), or null for a trainer
//	PARAMS                            as Params.JSON writes them
//	NUMBER                            of the draw; the line is absent for a grid
//
// It must not change: rows in stores are matched by it.
func (p *Plan) id(params Params, number int64) TrialID {
	h := sha256.New()
	// A hash.Hash never returns an error.
	_, _ = h.Write(p.prefix)
	_, _ = h.Write([]byte("\n"))
	_, _ = h.Write(params.JSON())
	if p.spec.Method == Random {
		_, _ = fmt.Fprintf(h, "\n%d", number)
	}
	return TrialID(hex.EncodeToString(h.Sum(nil)[:8]))
}
