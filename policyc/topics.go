package main

import (
	"embed"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Who has the binary has its manual, in short: policyc help TOPIC. A topic is a
// text in topics, whose first line is its title. What stands in it as a whole
// policy is one, and the tests compile it.
//
//go:embed topics/*.txt
var topicTexts embed.FS

// topicNames are the topics in the order in which people need them.
var topicNames = []string{"language", "services", "rules", "ports", "scopes", "tests", "keys", "change", "signing"}

// topicCommands are the topics as cobra has them: commands that nobody can run.
func topicCommands() []*cobra.Command {
	var out []*cobra.Command
	for _, name := range topicNames {
		title, text := topic(name)
		out = append(out, &cobra.Command{Use: name, Short: title, Long: text})
	}
	return out
}

// topic reads a topic. That of the keys is made of the list of them.
func topic(name string) (title, text string) {
	if name == "keys" {
		return "Every key of the language: what it takes, what if it is missing", keysText()
	}
	whole, err := topicTexts.ReadFile("topics/" + name + ".txt")
	if err != nil {
		panic(fmt.Sprintf("topic %s is not built in: %v", name, err))
	}
	title, text, _ = strings.Cut(string(whole), "\n")
	return title, strings.TrimRight(text, "\n")
}
