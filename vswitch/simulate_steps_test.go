package vswitch

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"bulkhead/vswitch/config"
	"bulkhead/vswitch/control/api"
)

// simStep is one step of a simulation: what, and numbers that say with whom. What they
// mean depends on what there is when its turn comes, so any steps may be left out of a
// list and the rest still means something: that is what makes lists short.
type simStep struct {
	op   int
	a, b uint32
}

// simOp is something that can happen.
type simOp struct {
	name   string
	weight int
	do     func(s *sim, a, b uint32)
}

var simOps = []simOp{
	{"send", 60, (*sim).sendsSome},
	{"answer", 20, (*sim).answers},
	{"spoof", 8, (*sim).spoofs},
	{"mutate", 20, (*sim).mutates},
	{"flood", 4, (*sim).floods},
	{"endpoint add", 12, (*sim).adds},
	{"endpoint move", 8, (*sim).moves},
	{"endpoint del", 4, (*sim).deletes},
	{"nonsense call", 4, (*sim).nonsense},
	{"policy load", 12, (*sim).loads},
	{"policy spoiled", 6, (*sim).spoils},
	{"reload", 6, (*sim).reloads},
	{"device goes", 4, (*sim).deviceGoes},
	{"link flaps", 6, (*sim).linkFlaps},
	{"port breaks", 4, (*sim).portBreaks},
	{"port is deaf", 4, (*sim).portDeaf},
	{"nobody reads", 4, (*sim).sleeps},
	{"disk fails", 6, (*sim).diskFails},
	{"time passes", 8, (*sim).timePasses},
	{"clock is set", 4, (*sim).clockIsSet},
	{"questions", 4, (*sim).questions},
	{"crash", 2, (*sim).crashes},
}

// drawSteps draws a list. Each seed has a taste of its own: some things are frequent in
// it and some do not happen at all, for faults that hide each other.
func drawSteps(seed uint64, n int) []simStep {
	rng := rand.New(rand.NewPCG(seed, 2))
	weights, sum := make([]int, len(simOps)), 0
	for i, op := range simOps {
		weights[i] = op.weight * []int{0, 1, 1, 2, 4}[rng.IntN(5)]
		if i == 0 || strings.HasPrefix(op.name, "endpoint add") || op.name == "policy load" {
			weights[i] = op.weight // without these nothing happens
		}
		sum += weights[i]
	}
	steps := make([]simStep, n)
	for i := range steps {
		at := rng.IntN(sum)
		for op, w := range weights {
			if at -= w; at < 0 {
				steps[i].op = op
				break
			}
		}
		steps[i].a, steps[i].b = rng.Uint32(), rng.Uint32()
	}
	return steps
}

// pick is one of a list, in an order that does not depend on the map that it is of.
func pick[T any](list []T, n uint32) (one T, found bool) {
	if len(list) == 0 {
		return one, false
	}
	return list[int(n)%len(list)], true
}

func (s *sim) members() []*simMember {
	var list []*simMember
	for _, name := range slices.Sorted(maps.Keys(s.who)) {
		list = append(list, s.who[name])
	}
	return list
}

// pair is two endpoints.
func (s *sim) pair(a, b uint32) (from, to *simMember, found bool) {
	list := s.members()
	if len(list) < 2 {
		return nil, nil, false
	}
	from = list[a%uint32(len(list))]
	to = list[(a+1+b%uint32(len(list)-1))%uint32(len(list))]
	return from, to, true
}

// fresh is a flow of its own from one to the other.
func (s *sim) fresh(n uint32) simFlow {
	s.sport++
	proto, port, _ := strings.Cut(simPorts[n%uint32(len(simPorts))], "/")
	var f simFlow
	f.proto, f.sport = proto, s.sport
	_, _ = fmt.Sscan(port, &f.dport)
	return f
}

func (s *sim) sendsSome(a, b uint32) {
	if from, to, found := s.pair(a, b>>8); found {
		f := s.fresh(b)
		s.note("e%d sends to e%d, %s", from.n, to.n, f.port())
		s.send("a new flow", from.port, s.frame(from.n, to.n, f), true)
	}
}

// answers answers a flow of which something has come.
func (s *sim) answers(a, b uint32) {
	var open []simFlow
	for f := range s.opened {
		open = append(open, f)
	}
	slices.SortFunc(open, func(x, y simFlow) int { return int(x.sport) - int(y.sport) })
	if f, found := pick(open, a); found {
		back := f.back()
		if from := s.member(back.src); from != nil {
			s.note("e%d answers e%d from %d", back.src, back.dst, back.sport)
			s.send("an answer", from.port, s.frame(int(back.src), int(back.dst), back), false)
		}
	}
}

// spoofs sends as somebody from where he is not.
func (s *sim) spoofs(a, b uint32) {
	from, to, found := s.pair(a, b>>8)
	port, some := pick(s.declared, a>>16)
	if found && some && port != from.port {
		s.note("somebody on %s sends as e%d to e%d", port, from.n, to.n)
		s.send("a spoof", port, s.frame(from.n, to.n, s.fresh(b)), false)
	}
}

// mutates changes a few bits of the headers, or cuts the frame.
func (s *sim) mutates(a, b uint32) {
	from, to, found := s.pair(a, b>>8)
	if !found {
		return
	}
	frame := s.frame(from.n, to.n, s.fresh(b))
	for range 1 + s.rng.IntN(3) {
		frame[s.rng.IntN(42)] ^= 1 << s.rng.IntN(8)
	}
	if s.rng.IntN(4) == 0 {
		frame = frame[:14+s.rng.IntN(len(frame)-14)]
	}
	s.note("e%d sends to e%d, and bits are wrong: %x", from.n, to.n, frame[:min(len(frame), 42)])
	s.send("a mutant", from.port, frame, false)
}

// floods sends more than a ring holds before anybody can look.
func (s *sim) floods(a, b uint32) {
	from, to, found := s.pair(a, b>>8)
	p := s.portOf(from)
	if !found || p == nil || p.closed.Load() {
		return
	}
	s.note("e%d floods e%d", from.n, to.n)
	for range 2 * s.depth {
		frame := s.frame(from.n, to.n, s.fresh(b))
		s.expects("a flood", from.port, frame)
		_ = p.Inject(0, frame, offloadNone)
	}
	s.settles()
}

func (s *sim) portOf(m *simMember) *simPort {
	if m == nil {
		return nil
	}
	return s.port(m.port)
}

// changes makes a change, and holds its outcome against what it must be.
func (s *sim) changes(c *api.EndpointChange, fine bool) bool {
	_, err := s.sw.Control("", nil).ChangeEndpoint(c)
	if (err == nil) != fine {
		s.wrong("%s %s on %q: %v, and it should be fine: %v", c.Op, c.Name, c.Port, err, fine)
	}
	s.settles()
	return err == nil
}

func (s *sim) adds(a, b uint32) {
	n := 1 + int(a)%simEndpoints
	name := fmt.Sprintf("e%d", n)
	port, found := pick(s.declared, b)
	if !found {
		return
	}
	label := simLabels[b>>8%3]
	s.note("endpoint add %s on %s, app = %s", name, port, label)
	if s.changes(&api.EndpointChange{
		Op: api.EndpointAdd, Name: name, Port: port, MAC: fmt.Sprintf("02:00:00:00:00:%02x", n),
		IPs: []string{fmt.Sprintf("10.0.0.%d", n)}, Labels: map[string]string{"app": label},
	}, s.who[name] == nil) {
		s.who[name] = &simMember{n, port, label}
	}
}

func (s *sim) moves(a, b uint32) {
	m, found := pick(s.members(), a)
	port, some := pick(s.declared, b)
	if !found || !some {
		return
	}
	s.note("endpoint move e%d to %s", m.n, port)
	if s.changes(&api.EndpointChange{Op: api.EndpointMove, Name: fmt.Sprintf("e%d", m.n), Port: port}, true) {
		m.port = port
	}
}

func (s *sim) deletes(a, _ uint32) {
	if m, found := pick(s.members(), a); found {
		s.note("endpoint del e%d", m.n)
		if s.changes(&api.EndpointChange{Op: api.EndpointDel, Name: fmt.Sprintf("e%d", m.n)}, true) {
			delete(s.who, fmt.Sprintf("e%d", m.n))
		}
	}
}

// nonsense is a call that must be refused, and change nothing.
func (s *sim) nonsense(a, _ uint32) {
	c := []api.EndpointChange{
		{Op: api.EndpointAdd, Name: "x", Port: "nowhere", MAC: "02:00:00:00:00:77", IPs: []string{"10.0.0.77"}},
		{Op: api.EndpointAdd, Name: "x", Port: "p0", MAC: "ff:ff:ff:ff:ff:ff", IPs: []string{"10.0.0.77"}},
		{Op: api.EndpointAdd, Name: "x", Port: "p0", MAC: "02:00:00:00:00:77", IPs: []string{"224.0.0.1"}},
		{Op: api.EndpointMove, Name: "nobody", Port: "p0"},
		{Op: api.EndpointDel, Name: "nobody"},
		{Op: "explode", Name: "e1"},
	}[a%6]
	s.note("a call of nonsense: %s %s", c.Op, c.Name)
	s.changes(&c, false)
}

// loads draws a policy, writes its file, and loads it.
func (s *sim) loads(_, b uint32) {
	s.generation++
	p := drawPolicy(s.rng, s.generation, s.wall())
	data, err := p.artifact()
	if err != nil {
		s.wrong("%v", err)
		return
	}
	s.disk.put(simPolicyFile, data)
	s.onDisk = p
	s.note("policy load, generation %d of %d rules", p.generation, len(p.rules))
	armed := s.disk.armed()
	_, err = s.sw.Control("", nil).LoadPolicy(&api.PolicyLoad{File: simPolicyFile})
	s.tookEffect(p, err, armed)
}

// tookEffect takes in what became of a policy's load.
func (s *sim) tookEffect(p *simPolicy, err error, armed bool) {
	status, statusErr := s.sw.Control("", nil).Status()
	switch {
	case statusErr != nil:
		s.wrong("status: %v", statusErr)
	case err != nil && !armed:
		s.wrong("generation %d is refused, and nothing is wrong with it: %v", p.generation, err)
	case err != nil:
		s.counts["loads that failed"]++
		if status.PolicyError == "" && len(status.Warnings) == 0 {
			s.wrong("a load failed, and the status does not say so: %v", err)
		}
	case p == nil:
		s.policy = nil
	default:
		s.policy = p
		if status.PolicyGeneration != p.generation {
			s.wrong("generation %d was loaded, and the status says %d", p.generation, status.PolicyGeneration)
		}
		s.kept[p.generation] = true
		if kept := strings.Contains(strings.Join(status.Warnings, " "), "generation is not kept"); !kept && !armed {
			s.kept = map[uint64]bool{p.generation: true}
		}
	}
	s.settles()
}

// spoils offers what must not be taken: a policy that is damaged, cut, unsigned, older,
// or not there.
func (s *sim) spoils(a, b uint32) {
	p := drawPolicy(s.rng, s.generation+1, s.wall())
	how := []string{"flipped", "cut", "older", "missing"}[a%4]
	if how == "older" {
		if s.policy == nil || s.policy.generation < 2 {
			return
		}
		p.generation = s.policy.generation - 1
	}
	data, err := p.artifact()
	if err != nil {
		s.wrong("%v", err)
		return
	}
	switch how {
	case "flipped":
		data[b%uint32(len(data))] ^= 1 << (b >> 29)
	case "cut":
		data = data[:b%uint32(len(data))]
	}
	const file = "/sim/spoiled.bhp"
	if how != "missing" {
		s.disk.put(file, data)
	} else {
		delete(s.disk.names, file)
		delete(s.disk.kept, file)
	}
	s.note("a policy that is %s is offered", how)
	if _, err := s.sw.Control("", nil).LoadPolicy(&api.PolicyLoad{File: file}); err == nil {
		s.wrong("a policy that is %s was taken", how)
	}
	s.settles()
}

// reloads puts another configuration in force: other ports, or one that is wrong.
func (s *sim) reloads(a, b uint32) {
	var ports []string
	for i := range simPortCount {
		if a>>i&1 == 1 || b%4 == 0 {
			ports = append(ports, simPortName(i))
		}
	}
	wrong := b%8 == 7
	s.note("reload with %v, wrong: %v", ports, wrong)
	armed, broken := s.disk.armed(), false
	for _, name := range ports {
		broken = broken || s.breaks[name] // not if it is open and stays so
	}
	err := s.sw.ReloadFrom(func() (*config.Config, error) {
		if wrong {
			return config.Parse("/sim/bulkhead.toml", []byte(s.config(ports)+"[[ports]]\nname = \"p0\"\nsegment = \"nowhere\"\n"))
		}
		return s.parsed(ports)
	})
	switch {
	case err == nil && wrong:
		s.wrong("a wrong configuration was taken")
	case err != nil && !wrong && !armed && !broken && !s.tooOld():
		s.wrong("reload: %v", err)
	case err == nil:
		s.declared = ports
		for name, m := range s.who {
			if !slices.Contains(ports, m.port) {
				delete(s.who, name)
			}
		}
		s.tookEffect(s.onDisk, nil, armed)
	}
	s.settles()
}

// tooOld tells whether the file's policy is refused for its age.
func (s *sim) tooOld() bool {
	return s.onDisk == nil && s.policy != nil || s.onDisk != nil && s.policy != nil && s.onDisk.generation < s.policy.generation
}

func (s *sim) somePort(a uint32) (*simPort, string) {
	name := simPortName(int(a % simPortCount))
	return s.port(name), name
}

func (s *sim) deviceGoes(a, _ uint32) {
	if p, name := s.somePort(a); p != nil && !p.closed.Load() {
		s.note("the device of %s goes", name)
		p.Destroy()
		s.settles()
	}
}

func (s *sim) linkFlaps(a, b uint32) {
	p, name := s.somePort(a)
	if p == nil || p.closed.Load() {
		return
	}
	s.note("the link of %s flaps %d times", name, 2+b%5)
	for i := range 2 + b%5 {
		p.SetLink(i%2 == 1)
		s.passes(time.Duration(s.rng.IntN(200)) * time.Millisecond)
	}
	p.SetLink(a>>8%4 != 0)
}

func (s *sim) portBreaks(a, b uint32) {
	_, name := s.somePort(a)
	s.mu.Lock()
	s.breaks[name] = b%4 == 0
	s.mu.Unlock()
	s.notUp[name].Store(b%4 == 1)
	s.note("to open %s fails: %v; to set it up fails: %v", name, b%4 == 0, b%4 == 1)
}

func (s *sim) portDeaf(a, b uint32) {
	if p, name := s.somePort(a); p != nil {
		p.deaf.Store(b%3 == 0)
		s.note("%s can be received from: %v", name, b%3 != 0)
		s.settles()
	}
}

func (s *sim) sleeps(a, b uint32) {
	_, name := s.somePort(a)
	s.sleeping[name] = b%3 == 0
	s.note("somebody takes what %s sends: %v", name, b%3 != 0)
	s.settles()
}

func (s *sim) diskFails(a, b uint32) {
	err := diskErrors[b%uint32(len(diskErrors))]
	if b>>8%2 == 0 {
		err = errCrash
	}
	n := 1 + int(a%30) // the load of a policy makes as many calls
	s.disk.arm(n, err)
	s.note("call %d of the disk from now fails: %v", n, err)
}

// passes lets time pass.
func (s *sim) passes(d time.Duration) {
	time.Sleep(d)
	s.settles()
}

func (s *sim) timePasses(a, b uint32) {
	d := []time.Duration{time.Millisecond, 100 * time.Millisecond, 2 * time.Second, 20 * time.Second, 3 * time.Minute}[a%5]
	s.note("%v pass", d)
	s.passes(d + time.Duration(b%1000)*time.Microsecond)
}

// clockIsSet sets the clock of the wall, by years or by seconds. The switch looks at it
// once a second; what it does before it has looked is not judged.
func (s *sim) clockIsSet(a, b uint32) {
	off := time.Duration(s.offset.Load())
	by := []time.Duration{-10 * 365 * 24 * time.Hour, 10 * 365 * 24 * time.Hour, -time.Minute, time.Minute, -off}[a%5]
	if off+by > 50*365*24*time.Hour || off+by < -20*365*24*time.Hour {
		by = -off
	}
	s.note("the clock is set by %v", by)
	s.offset.Add(int64(by))
	s.passes(lookEvery + 10*time.Millisecond)
}

// questions asks what changes nothing.
func (s *sim) questions(a, b uint32) {
	s.note("questions")
	c := s.sw.Control("v", nil)
	_, err1 := c.Status()
	_, err2 := c.Ports()
	_, err3 := c.Endpoints()
	_, err4 := c.Policy()
	_, err5 := c.Counters()
	_, err6 := c.Workers()
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		s.wrong("questions: %v", err)
	}
}

// crashes is a loss of power, or the end of the process: the disk is as it pleases, the
// switch begins anew with what it finds.
func (s *sim) crashes(_, b uint32) {
	s.note("the machine crashes")
	s.stops()
	s.disk.crash()
	kept, err := readGenerations(s.disk, simState)
	state := kept.highest // nothing is taken back here: it is the one in force, too
	if err != nil || !s.kept[state] {
		s.wrong("after a crash the generation is %d, %v; it may be %v; %q", state, err, slices.Sorted(maps.Keys(s.kept)), s.disk.made)
	}
	s.kept = map[uint64]bool{state: true}
	clear(s.who)
	clear(s.opened)
	s.late = nil
	s.begins(state)
}

// begins starts the switch, and if it is right to refuse does what its operator would.
func (s *sim) begins(state uint64) {
	for name := range s.breaks {
		s.breaks[name] = false
	}
	err := s.starts()
	if old := s.onDisk != nil && s.onDisk.generation < state; (err != nil) != old {
		s.wrong("start: %v; the policy is too old: %v", err, old)
	}
	if s.sw == nil { // what is in force is of another file; this one is in the way
		s.disk.names, s.disk.kept = without(s.disk.names), without(s.disk.kept)
		s.onDisk = nil
		if err := s.starts(); err != nil {
			s.wrong("start without a policy: %v", err)
			return
		}
	}
	if s.policy = s.onDisk; s.policy != nil {
		s.kept[s.policy.generation] = true
	}
	s.settles()
	s.books()
}

// without is a directory without the policy.
func without(names map[string]*simNode) map[string]*simNode {
	delete(names, simPolicyFile)
	return names
}

// stops closes the switch, and looks that nothing of it is left open.
func (s *sim) stops() {
	if s.sw == nil {
		return
	}
	if err := s.sw.Close(); err != nil {
		s.wrong("close: %v", err)
	}
	s.sw = nil
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.all {
		if !p.closed.Load() {
			s.wrongs = append(s.wrongs, "port "+p.name+" is left open")
		}
	}
	s.all, s.ports = nil, map[string]*simPort{}
}
