package main

import (
	"context"

	"github.com/seed-2c6e3a5a/hooks/memory"
)

var memoryEntry = entry{
	name: onMemory, keeps: "nothing", backlog: 0.8, triggered: 0.7,
	configuration: hooksConfiguration + ".",
	open: func(ctx context.Context, s setting) (contender, error) {
		return newEngine(ctx, s, memory.New(memory.Options{}), nil)
	},
}
