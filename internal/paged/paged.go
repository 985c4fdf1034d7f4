// Package paged keeps a long list in pages. It grows without copying what it
// holds, so a list of millions has neither a pause nor garbage of its size, and
// its elements stay where they are. It is pure.
package paged

const (
	bits = 10
	size = 1 << bits
	mask = size - 1
)

// List is a list that only grows. The zero value is empty.
type List[T any] struct {
	pages []*[size]T
	n     int
}

// Len is the number of elements.
func (l *List[T]) Len() int { return l.n }

// At is element i, for as long as the list is there. It panics where i is not
// below Len rounded up to a page.
func (l *List[T]) At(i uint32) *T { return &l.pages[i>>bits][i&mask] }

// Add appends a zero element and returns its index.
func (l *List[T]) Add() uint32 {
	if l.n&mask == 0 {
		l.pages = append(l.pages, new([size]T))
	}
	l.n++
	return uint32(l.n - 1)
}

// Grow appends zero elements until there are n.
func (l *List[T]) Grow(n int) {
	for l.n < n {
		l.Add()
	}
}
