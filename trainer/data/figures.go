package data

// figure is one class of the synthetic set: a plane figure of area 1 around the origin, x to the right and y down.
type figure struct {
	name   string
	inside func(x, y float64) bool
}

// figureReach is how far the farthest point of any figure lies from the origin (a corner of the checkerboard).
const figureReach = 0.95

// The half sides and other lengths below follow from area 1; each says from what.
const (
	crossHalf  = 0.6708203932499369 // half of sqrt(9/5): five of the nine cells of a 3x3 grid
	crossThird = crossHalf * 2 / 3  // a cell of it
	barsHalf   = 0.6454972243679028 // half of sqrt(5/3): three of five stripes
	barsFifth  = barsHalf * 2 / 5   // a stripe of it
)

// figures are the classes, in the order of their labels.
var figures = []figure{
	{"circle", func(x, y float64) bool {
		return dot(x, x, y, y) < 0.3183098861837907 // r² = 1/pi
	}},
	{"square", func(x, y float64) bool {
		return within(x, 0.5) && within(y, 0.5)
	}},
	{"triangle", func(x, y float64) bool { // equilateral: three half planes at the inradius 27^(-1/4)
		const inradius, sin60 = 0.43869133765083085, 0.8660254037844386
		return y < inradius && dot(sin60, x, -0.5, y) < inradius && dot(-sin60, x, -0.5, y) < inradius
	}},
	{"cross", func(x, y float64) bool {
		return within(x, crossHalf) && within(y, crossThird/2) || within(x, crossThird/2) && within(y, crossHalf)
	}},
	{"ring", func(x, y float64) bool { // the hole has 0.6 of the outer radius
		r2 := dot(x, x, y, y)
		return r2 > 0.17904931097838226 && r2 < 0.49735919716217296
	}},
	{"star", func(x, y float64) bool { // a pentagram: inside at least four of its five lines
		const line = 0.29165920143021 // their distance from the centre: cos 72° of the circumradius 0.94383
		outside := 0
		for _, n := range starNormals {
			if dot(n[0], x, n[1], y) >= line {
				outside++
			}
		}
		return outside <= 1
	}},
	{"elbow", func(x, y float64) bool {
		return within(x, crossHalf) && within(y, crossHalf) && (x < crossThird-crossHalf || y > crossHalf-crossThird)
	}},
	{"horizontal-bars", func(x, y float64) bool {
		return within(x, barsHalf) && within(y, barsHalf) && int((y+barsHalf)/barsFifth)%2 == 0
	}},
	{"vertical-bars", func(x, y float64) bool {
		return within(x, barsHalf) && within(y, barsHalf) && int((x+barsHalf)/barsFifth)%2 == 0
	}},
	{"checkerboard", func(x, y float64) bool {
		return within(x, crossHalf) && within(y, crossHalf) &&
			(int((x+crossHalf)/crossThird)+int((y+crossHalf)/crossThird))%2 == 0
	}},
}

// starNormals are the directions of the pentagram's points, which are also the normals of its lines.
var starNormals = [5][2]float64{
	{0, -1},
	{0.9510565162951535, -0.3090169943749474},
	{0.5877852522924731, 0.8090169943749475},
	{-0.5877852522924731, 0.8090169943749475},
	{-0.9510565162951535, -0.3090169943749474},
}

func within(v, half float64) bool { return v > -half && v < half }
