package middleware

import "bulkhead/vswitch/port"

// wrapped is a port whose queues are others and whose remaining methods are
// those of the port inside.
type wrapped struct {
	port.Port
	queues []port.Queue
}

// Queues implements port.Port.
func (w *wrapped) Queues() []port.Queue { return w.queues }

// wrap puts each queue of a port into another.
func wrap(p port.Port, each func(number int, q port.Queue) port.Queue) *wrapped {
	w := &wrapped{Port: p}
	for i, q := range p.Queues() {
		w.queues = append(w.queues, each(i, q))
	}
	return w
}
