// Generated: python -m raqib.reactions.reference types > src/raqib/reactions/raqib.d.ts
// For editors: /// <reference path="raqib.d.ts" /> above a reaction's code.

/** The kind of the recipe. */
declare const kind: string;
/** The name of the recipe. */
declare const name: string;
/** The identifier of the event. */
declare const uuid: string;
/** The event; its JSON Schema is docs/event.schema.json. */
declare const data: Record<string, any>;

/** Writes a line to the log: objects as JSON, joined by blanks. */
declare function Info(...values: unknown[]): void;
/** As Info, as a warning. */
declare function Warn(...values: unknown[]): void;
interface ErrorConstructor {
  /** As Info, as an error. With `new` it is the constructor that it always was. */
  (...values: unknown[]): void;
}
/** Returns why the latest helper did not plainly succeed; empty if it did. */
declare function Errno(): string;

/** Kills the process that triggered the event and waits until it is gone, at most 1 s. Returns 0: killed. 1: already gone, or its pid is another process's now. -1: not killed. */
declare function KillCurrent(): number;
/** Kills the parent that the process had at the time of the event. Returns 0: killed. 1: already gone, or its pid is another process's now. -1: not killed. */
declare function KillParent(): number;
/** Kills a process by its pid: one that occurs in the event is that very process, any other must have started before the event. Returns 0: killed. 1: already gone, or its pid is another process's now. -1: not killed. */
declare function KillProcess(pid: number): number;
/** Kills the process and all its descendants, stopped first so that none escapes by forking. Each counts in the budget; protected ones are left alone, with what is below them. Returns the number of processes killed; `Errno()` says which were left. -1: none. */
declare function KillTree(): number;
/** Blocks an address or a range; without argument every remote address in the flows of the event's process, unless the recipe matched only by names that no resolver of this host said. Returns 0: blocked. 1: all were blocked already. -1: not blocked. */
declare function NetBlockIp(ip?: string): number;
/** Takes off a block that a reaction or an administrator set at run time. Returns 0: taken off. 1: it was not blocked. -1: not taken off. */
declare function NetUnblockIp(ip: string): number;
/** Blocks an address or a range for so many seconds; the block ends by itself. Returns 0: blocked. 1: it was blocked already. -1: not blocked. */
declare function NetBlockIpTimer(ip: string, seconds: number): number;
/** Blocks the resolution of a name, and the addresses that it resolves to; without argument every remote name in the flows that a resolver of this host said. Returns 0: blocked. 1: it was blocked already. -1: not blocked. */
declare function NetBlockDomain(domain?: string): number;
/** Takes off the block of a name. Returns 0: taken off. 1: it was not blocked. -1: not taken off. */
declare function NetUnblockDomain(domain: string): number;
/** Blocks a name for so many seconds. Returns 0: blocked. 1: it was blocked already. -1: not blocked. */
declare function NetBlockDomainTimer(domain: string, seconds: number): number;
/** Reads a regular file, of procfs too; what is not UTF-8 is replaced. Never waits for anybody. Returns the contents, `""` on error; an empty file is `""` without a reason in `Errno()`. */
declare function ReadFile(path: string): string;
/** Writes a file of mode 0600 in place of whatever has that name; missing directories are created. Returns 0: done. -1: not done. */
declare function WriteFile(path: string, text: string): number;
/** Adds to the end of a file, which is created if it is not there. Returns 0: done. -1: not done. */
declare function AppendFile(path: string, text: string): number;
/** Tells what a file is. Returns `size` in bytes, `mode` as `-rw-r--r--`, `modTime` in RFC 3339, `isDir`; null on error. */
declare function Stat(path: string): { size: number; mode: string; modTime: string; isDir: boolean } | null;
/** Hashes a file. `exe` stands for the current process's program, which can be read even if it was deleted. Returns 64 hexadecimal digits, `""` on error. */
declare function HashFile(path: string): string;
/** Copies a file, under its own name and with mode 0600, to a directory below `write_paths`. Returns 0: done. -1: not done. */
declare function CopyFile(from: string, toDir: string): number;
/** Keeps what is known of the process below the evidence directory: its program (also if deleted), maps, descriptors, sockets, environment (redacted), ancestry, the event, and a manifest with the hash of each. Returns the directory, `""` on error; `Errno()` says what is missing in it. */
declare function CollectEvidence(): string;
/** Makes a directory of mode 0700 directly below /tmp, which is kept until it is removed. The pattern of its name ends in `*`. Returns the path, `""` on error. */
declare function CreateTempDir(pattern?: string): string;
/** Removes a directory that CreateTempDir or CollectEvidence created for the same recipe, with all that is in it. Returns 0: done. -1: not done. */
declare function RemoveDir(path: string): number;
/** Gives a key of the recipe's own data a text, for `ttlSeconds` or for ever. It is on the disk when it returns. Returns 0: done. -1: not done. */
declare function DataSet(key: string, value: string, ttlSeconds?: number): number;
/** Returns the text of a key. Returns the text, `""` if there is no such key. */
declare function DataGet(key: string): string;
/** Removes a key; a list whole. Returns 0: it is not there (any more). -1: not done. */
declare function DataDelete(key: string): number;
/** Adds to a number, 1 if nothing else is said, as one step also between reactions that run in parallel. Without `ttlSeconds` the key keeps the end that it has. Returns the new number, NaN on error. */
declare function DataIncr(key: string, by?: number, ttlSeconds?: number): number;
/** Adds a text to the end of a list; without a key to the list of the key `default`. Returns 0: done. -1: not done. */
declare function DataPush(value: string): number;
/** Adds a text to the end of a list; without a key to the list of the key `default`. Returns 0: done. -1: not done. */
declare function DataPush(key: string, value: string): number;
/** Takes off the last text of a list. An emptied list vanishes. Returns the text, `""` if the list is empty. */
declare function DataPop(key?: string): string;
/** Returns all keys, in order. Returns A **string** that holds a JSON array. */
declare function DataKeys(): string;
/** Returns what all keys hold, in the order of the keys; a list as an array. Returns A **string** that holds a JSON array. */
declare function DataValues(): string;
/** Removes all keys of the recipe, lists included. Returns 0: done. -1: not done. */
declare function DataClear(): number;
/** Returns the number of keys; a list is one. Returns the number, -1 on error. */
declare function DataSize(): number;
/** Tells whether there are no keys. Returns true or false. */
declare function DataIsEmpty(): boolean;
/** Tells whether there is such a key. Returns true or false. */
declare function DataHasKey(key: string): boolean;
/** Tells whether a key, or a list, holds that text. Returns true or false. */
declare function DataHasValue(value: string): boolean;
/** As DataSet, in the data that all recipes share. Returns 0: done. -1: not done. */
declare function SharedSet(key: string, value: string, ttlSeconds?: number): number;
/** As DataGet, in the data that all recipes share. Returns the text, `""` if there is no such key. */
declare function SharedGet(key: string): string;
/** As DataHasKey, in the data that all recipes share: tells an empty text from none. Returns true or false. */
declare function SharedHasKey(key: string): boolean;
/** As DataIncr, in the data that all recipes share. Returns the new number, NaN on error. */
declare function SharedIncr(key: string, by?: number, ttlSeconds?: number): number;
/** As DataDelete, in the data that all recipes share. Returns 0: it is not there (any more). -1: not done. */
declare function SharedDelete(key: string): number;
/** Makes an event of its own, of the type `notify`, which goes to all printers. Returns 0: done. -1: not done. */
declare function Notify(title: string, fields?: Record<string, unknown>): number;
/** Switches the host off at once. Needs `emergency.enabled` and its name in `emergency.helpers`; the ledger is on the disk first. Returns nothing, as a rule: the host is off. 0 in a dry run. -1: refused. */
declare function PowerOff(): number;
/** Has the kernel panic, for a dump or a restart as the host is set up. Needs `emergency.enabled` and its name in `emergency.helpers`; the ledger is on the disk first. Returns nothing, as a rule: the host is down. 0 in a dry run. -1: refused. */
declare function Panic(): number;
